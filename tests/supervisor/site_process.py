"""Starts the whole site as a person would, in a data directory of its own, and looks at its processes."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parents[2]
LONGEST_SECONDS = 90.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def until(holds: Callable[[], bool], what: str, seconds: float = LONGEST_SECONDS) -> None:
    """Wait for a condition; fail with its name when it does not come true."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"waited {seconds} s in vain: {what}"
        threading.Event().wait(0.05)


class SiteProcess:
    """One `bin/up`, typed in `folder`, and all it printed. `through`: words of a program that runs it elsewhere."""

    def __init__(
        self, data: Path, port: int, *words: str, folder: Path = ROOT, through: Sequence[str] = (), **settings: str
    ) -> None:
        self.data, self.port = folder / data, port
        self._output = Path(tempfile.mkstemp(prefix="r1web-", suffix=".out")[1])
        environment = _bare_environment() | {"R1WEB_DRAIN_SECONDS": "5", **settings}
        with self._output.open("wb") as output:
            self.process = subprocess.Popen(
                [*through, sys.executable, str(ROOT / "bin/up"), "--data", str(data), "--port", str(port), *words],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def logs(self) -> Path:
        return self.data / "logs"

    @property
    def output(self) -> str:
        return self._output.read_text()

    def wait_until_ready(self) -> None:
        self.wait_until_told("Ready after")

    def wait_until_told(self, words: str) -> None:
        until(lambda: words in self.output or self.process.poll() is not None, f"the terminal says {words}")
        assert self.process.poll() is None, self.output

    def children(self) -> dict[str, psutil.Process]:
        """The running children by the names that the terminal uses."""
        try:
            rows = json.loads((self.data / "children.json").read_text())
        except FileNotFoundError:
            return {}
        found = {}
        for row in rows:
            with suppress(psutil.NoSuchProcess):
                found[row["name"]] = psutil.Process(row["pid"])
        return found

    def answers(self, path: str = "/livez") -> bool:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            line.request("GET", path)
            return line.getresponse().status == http.HTTPStatus.OK
        except (OSError, http.client.HTTPException):
            return False
        finally:
            line.close()

    def manage(self, *words: str) -> str:
        """What `bin/manage` prints, told nothing but the data directory."""
        command = [sys.executable, str(ROOT / "bin" / "manage"), *words]
        environment = _bare_environment() | {"R1WEB_DATA": str(self.data)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def end(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask the supervisor to end and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.process.wait(timeout=60)


def _bare_environment() -> dict[str, str]:
    own = ("R1WEB_", "DATABASE_URL", "REDIS_URL")
    return {name: value for name, value in os.environ.items() if not name.startswith(own)}


def is_alive(process: psutil.Process) -> bool:
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
