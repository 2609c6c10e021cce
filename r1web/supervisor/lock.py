"""One supervisor per data directory."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from r1web.supervisor.failure import CannotGoOn
from r1web.supervisor.preflight import already_running


@contextmanager
def held(data: Path) -> Iterator[None]:
    """Hold <data>/site.lock, which names this process, and remove it at the end."""
    path = data / "site.lock"
    with _locked(path, data) as descriptor:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path, data: Path) -> Iterator[int]:
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            _take(descriptor, data)
            if _is_at(path, descriptor):
                yield descriptor
                return
        finally:
            os.close(descriptor)


def _take(descriptor: int, data: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotGoOn(already_running(data)) from None


def _is_at(path: Path, descriptor: int) -> bool:
    """An ending supervisor removes the file: a lock on a removed file is worth nothing."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False
