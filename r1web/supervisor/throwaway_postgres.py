"""A PostgreSQL cluster for one test run: made in a temporary directory, gone afterwards."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from r1web.supervisor.failure import CannotGoOn

READY_SECONDS = 30.0
# Nothing of it has to survive a power cut.
FAST = ["-c", "fsync=off", "-c", "synchronous_commit=off", "-c", "full_page_writes=off", "-c", "max_connections=200"]


def programs() -> Path | None:
    """The folder of initdb and postgres; Debian keeps them out of PATH."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    if found := shutil.which("initdb"):
        candidates.append(Path(found).resolve())
    return next((path.parent for path in candidates if (path.parent / "pg_isready").exists()), None)


@contextmanager
def running() -> Iterator[str]:
    """Yield the address of a fresh database for DATABASE_URL."""
    folder = programs()
    assert folder, "ask programs() first"
    with tempfile.TemporaryDirectory(prefix="r1web-postgres-") as name:
        cluster, account = Path(name) / "cluster", _account(Path(name))
        initialise = [
            str(folder / "initdb"),
            "-D",
            str(cluster),
            "-U",
            "r1web",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C.UTF-8",
        ]
        subprocess.run([*initialise, "--no-sync"], check=True, stdout=subprocess.DEVNULL, cwd=name, **account)
        port = _free_port()
        words = [str(folder / "postgres"), "-D", str(cluster), "-p", str(port), "-h", "127.0.0.1", "-k", name, *FAST]
        server = subprocess.Popen(words, cwd=name, stderr=subprocess.DEVNULL, **account)
        try:
            _wait(folder, port, server)
            yield f"postgres://r1web@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(2)
            server.wait()


def _account(folder: Path) -> dict[str, Any]:
    """PostgreSQL refuses to run as root: its own user does it then."""
    if os.geteuid() != 0:
        return {}
    owner = pwd.getpwnam("postgres")
    os.chown(folder, owner.pw_uid, owner.pw_gid)
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait(folder: Path, port: int, server: subprocess.Popen[bytes]) -> None:
    ask = [str(folder / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    end = time.monotonic() + READY_SECONDS
    while subprocess.run(ask).returncode:
        if server.poll() is not None or time.monotonic() > end:
            raise CannotGoOn("The PostgreSQL server for the tests did not start.")
        time.sleep(0.1)
