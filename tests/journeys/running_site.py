"""The whole site, started by its own command on a free port with data of its own."""

from __future__ import annotations

import os
import re
import secrets
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 180
END_SECONDS = 45
# Slow enough that a busy machine still meets an answer in its middle.
PACE = "20"


@dataclass(frozen=True)
class Site:
    """A running site. `lan_url` is how another machine reaches it; '' on a machine without a network.

    Without an admin `admin_password` is '' and what was printed in `output` holds the set-up link.
    """

    url: str
    lan_url: str
    admin_password: str
    data: Path
    output: Path

    def setup_link(self) -> str:
        found = re.search(rf"{re.escape(self.url)}/setup/\S+", self.output.read_text())
        assert found, self.output.read_text()
        return found[0]


@contextmanager
def running_site(folder: Path, *, has_admin: bool = True) -> Iterator[Site]:
    """Start `bin/up`, wait until it is ready, and end it afterwards. Raises with its words where it fails."""
    port = _free_port()
    lan = lan_address()
    lan_url = f"http://{lan}:{port}" if lan else ""
    password, output = secrets.token_urlsafe(12) if has_admin else "", folder / "up.log"
    site = Site(f"http://localhost:{port}", lan_url, password, folder / "data", output)
    words = [str(ROOT / "bin" / "up"), "--port", str(port), "--host", "0.0.0.0", "--data", str(site.data)]
    if has_admin:
        password_file = folder / "password"
        password_file.write_text(password)
        words += ["--admin-password-file", str(password_file)]
    values = {name: value for name, value in os.environ.items() if not name.startswith("R1WEB_")}
    for name in ("DATABASE_URL", "REDIS_URL", "DJANGO_SETTINGS_MODULE"):
        values.pop(name, None)
    values["R1WEB_DEMO_TOKENS_PER_SECOND"] = PACE
    values["R1WEB_TITLES"] = "0"  # a list that changes by itself is no page to compare
    with output.open("wb") as log:
        process = subprocess.Popen(words, cwd=ROOT, env=values, stdout=log, stderr=log, start_new_session=True)
        try:
            _wait_until_ready(process, site)
            yield site
        finally:
            _end(process)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
    return number


def lan_address() -> str:
    """Nothing is sent: the socket only learns from which address it would be."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, suppress(OSError):
        probe.connect(("192.0.2.1", 9))
        name: str = probe.getsockname()[0]
        return "" if name.startswith("127.") else name
    return ""


def _wait_until_ready(process: subprocess.Popen[bytes], site: Site) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        with suppress(OSError), urllib.request.urlopen(f"{site.url}/healthz", timeout=5) as answer:
            if answer.status == 200:
                return
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.3)
    raise AssertionError(f"the site did not get ready:\n{site.output.read_text()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask, then ask again (which skips the drain), then insist."""
    for ask in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
        if process.poll() is None:
            process.send_signal(ask)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=END_SECONDS)
            return
