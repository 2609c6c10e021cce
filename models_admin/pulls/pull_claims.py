"""Who pulls what on this host, as files: locks and wishes hold between processes and end with them, without a database.

For each set of files there is a lock, held by the one process that pulls, and a note with the newest attempt that
the site knows. A message that comes again, late or out of order is told by them from a new one.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from models_admin.orders.pull_orders import PullOrder, StopOrder, Wanted

FOLDER = ".pulls"


class Note(msgspec.Struct, frozen=True):
    """The site's newest word. `discard`: the files go too."""

    job: int = 0
    attempt: int = 0
    is_stopped: bool = False
    discard: bool = False

    def is_newer_than(self, order: PullOrder | StopOrder) -> bool:
        return (self.job, self.attempt) > (order.job, order.attempt)


class Claim:
    """The right to pull these files, until it is given back or the process ends."""

    def __init__(self, folder: Path, wanted: Wanted, lock: int) -> None:
        self._folder, self._wanted, self._lock = folder, wanted, lock

    def note(self) -> Note:
        """What the site wants now: whoever holds the lock works for the newest attempt, so that nothing runs twice."""
        return _change(self._folder, self._wanted, lambda note: note)

    def give_back(self, files: Path) -> None:
        """Frees the lock. A cancellation that found it held is done here."""
        os.close(self._lock)
        if self.note().discard:
            _discard(self._folder, self._wanted, files)


def take(folder: Path, order: PullOrder) -> Claim | None:
    """None where the order is old or stopped, or somebody pulls these files: he hears of the attempt by the note."""

    def renewed(note: Note) -> Note:
        is_over = note.is_stopped and (note.job, note.attempt) == (order.job, order.attempt)
        return note if note.is_newer_than(order) or is_over else Note(order.job, order.attempt)

    note = _change(folder, order.wanted, renewed)
    if note != Note(order.job, order.attempt):
        return None
    lock = _locked(folder, order.wanted)
    return None if lock is None else Claim(folder, order.wanted, lock)


def stop(folder: Path, order: StopOrder, files: Path) -> bool | None:
    """Whoever pulls sees it within a second; where nobody does and `discard` is set, the files are removed here.

    Whether they are gone; None where they were not to be removed by this order, or not yet.
    """
    wish = Note(order.job, order.attempt, is_stopped=True, discard=order.discard)
    note = _change(folder, order.wanted, lambda note: note if note.is_newer_than(order) else wish)
    return _discard(folder, order.wanted, files) if note == wish and order.discard else None


def _discard(folder: Path, wanted: Wanted, files: Path) -> bool | None:
    """None where somebody pulls them, or wants them again."""
    lock = _locked(folder, wanted)
    if lock is None:
        return None
    try:
        if not _change(folder, wanted, lambda note: note).discard:
            return None
        folders = (files, work_folder(files))
        for path in folders:
            shutil.rmtree(path, ignore_errors=True)
        return not any(path.exists() for path in folders)
    finally:
        os.close(lock)


def work_folder(files: Path) -> Path:
    """Where files lie until all are there."""
    return files.with_name(f"{files.name}.partial")


def _locked(folder: Path, wanted: Wanted) -> int | None:
    lock = os.open(_path(folder, wanted, "lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock


def _change(folder: Path, wanted: Wanted, change: Callable[[Note], Note]) -> Note:
    """The note after the change, under a lock of its own that is held for a moment."""
    with os.fdopen(os.open(_path(folder, wanted, "json"), os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        before = Note()
        with suppress(msgspec.MsgspecError):
            before = msgspec.json.decode(file.read(), type=Note)
        after = change(before)
        if after != before:
            file.seek(0)
            file.write(msgspec.json.encode(after).ljust(200))
        return after


def _path(folder: Path, wanted: Wanted, suffix: str) -> Path:
    (folder / FOLDER).mkdir(parents=True, exist_ok=True)
    words = "\n".join((wanted.source, wanted.ref, wanted.digest, wanted.engine_url))
    return folder / FOLDER / f"{hashlib.sha256(words.encode()).hexdigest()[:24]}.{suffix}"
