"""Child processes: started in groups of their own, recorded on disk, restarted with growing pauses."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from r1web.supervisor import stamps
from r1web.supervisor.arguments import ROOT

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 30.0
# A child that ran this long counts as healthy: its next crash starts the pauses anew.
HEALTHY_SECONDS = 30.0
LOG_BYTES = 10 * 1024 * 1024
LOGS_KEPT = 3
PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass(frozen=True)
class Command:
    """How to start one child; `standard_input` is written once and closed."""

    name: str
    words: list[str]
    environment: Mapping[str, str]
    log: Path
    standard_input: bytes = b""


class Child:
    """One running (or waiting to be restarted) child."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.process: subprocess.Popen[bytes] | None = None
        self.started_at = 0.0
        self.created = 0.0
        self.crashes = 0
        self.restart_at: float | None = None

    @property
    def pid(self) -> int | None:
        return self.process.pid if self.process else None

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def start(self) -> None:
        self.command.log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self.command.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command.words,
                cwd=ROOT,
                env=dict(self.command.environment),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
        self._write_input()
        self.started_at, self.restart_at = time.monotonic(), None
        with suppress(psutil.Error):
            self.created = psutil.Process(self.process.pid).create_time()

    def _write_input(self) -> None:
        assert self.process and self.process.stdin
        with suppress(BrokenPipeError):
            self.process.stdin.write(self.command.standard_input)
            self.process.stdin.close()

    def plan_restart(self) -> float:
        """Note a crash and return the pause before the next start, in seconds."""
        now = time.monotonic()
        self.crashes = 1 if now - self.started_at > HEALTHY_SECONDS else self.crashes + 1
        pause: float = min(FIRST_PAUSE_SECONDS * 3.0 ** (self.crashes - 1), LONGEST_PAUSE_SECONDS)
        self.restart_at = now + pause
        return pause

    def send(self, number: signal.Signals) -> None:
        """Signal the child's whole group."""
        if self.process:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)

    def rotate_log(self) -> None:
        """Copy and truncate: the child keeps its descriptor, opened for appending. Raises OSError, nothing lost."""
        log = self.command.log
        if not log.exists() or log.stat().st_size < LOG_BYTES:
            return
        fresh = log.with_suffix(".log.new")
        try:
            shutil.copyfile(log, fresh)
            for number in range(LOGS_KEPT - 1, 0, -1):
                with suppress(FileNotFoundError):
                    log.with_suffix(f".log.{number}").replace(log.with_suffix(f".log.{number + 1}"))
            fresh.replace(log.with_suffix(".log.1"))
        finally:
            fresh.unlink(missing_ok=True)
        os.truncate(log, 0)


def end_with_parent() -> None:
    """Runs in a child before its program: on Linux the kernel ends it when the supervisor dies."""
    if _LIBC:
        _LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def record(path: Path, children: list[Child]) -> None:
    """Write who runs, so that the start after a kill -9 of the supervisor finds them."""
    rows = [
        {"name": child.command.name, "pid": child.pid, "created": child.created}
        for child in children
        if child.is_running
    ]
    stamps.write_private(path, json.dumps(rows) + "\n")


def end_orphans(path: Path) -> list[str]:
    """End the children that an earlier supervisor left behind; returns their names.

    A process counts only when its start time is the recorded one: numbers are given out again.
    """
    try:
        rows = json.loads(path.read_text())
    except (FileNotFoundError, ValueError):
        return []
    orphans = [(row["name"], process) for row in rows if (process := _same_process(row["pid"], row["created"]))]
    for number in (signal.SIGTERM, signal.SIGKILL):
        for _, process in orphans:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, number)
        _, alive = psutil.wait_procs([process for _, process in orphans], timeout=3)
        if not alive:
            break
    path.unlink(missing_ok=True)
    return [name for name, _ in orphans]


def _same_process(pid: int, created: float) -> psutil.Process | None:
    with suppress(psutil.Error):
        process = psutil.Process(pid)
        if abs(process.create_time() - created) < 1 and process.status() != psutil.STATUS_ZOMBIE:
            return process
    return None
