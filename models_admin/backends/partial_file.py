"""A file while it comes: on the disk under another name, with the running hash of all its bytes."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from models_admin.backends.base import BackendError, BadRequest

PARTIAL = ".partial"
READ_BYTES = 4 * 1024 * 1024
# EFBIG: a limit on the size of a file, by the system or of the file system.
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class DiskFull(BackendError):
    """The disk, a quota or a limit leaves no room for the file."""

    code = "disk_full"


class NotWritable(BackendError):
    """The folder of models cannot be written."""

    code = "not_writable"


class DigestDiffers(BadRequest):
    """What came is not what was pinned."""

    code: ClassVar[str] = "digest_differs"


class SizeDiffers(BadRequest):
    """The server has a file of another length than was listed."""

    code: ClassVar[str] = "size_differs"


@dataclass(frozen=True)
class FileWish:
    """A file at an address. `sha256` and `git` (SHA-1 of a git blob) in hex, '' where unknown; `bytes` None too."""

    url: str
    bytes: int | None = None
    sha256: str = ""
    git: str = ""


class PartialFile:
    """The partial file with the running hash of all its bytes.

    Its methods are called from one thread at a time, but that `count` may run beside the next `write`.
    """

    def __init__(self, path: Path, wish: FileWish) -> None:
        self._path, self._wish = path, wish
        self._bytes, self.size, self._written = wish.bytes, 0, 0
        self._file: Any = None
        self._hashes: dict[str, Any] = {}

    def open(self) -> None:
        """Reads the bytes at hand again: only what is hashed here counts."""
        with _told_as_full():
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.fdopen(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644), "r+b", buffering=0)
            self._hashes = self._fresh_hashes()
            if self._bytes is not None and self._path.stat().st_size > self._bytes:
                self._file.truncate(0)
            while block := self._file.read(READ_BYTES):
                self.count(block)
            self._written = self.size

    @property
    def is_whole(self) -> bool:
        return self.size == self._bytes

    def expect(self, size: int | None) -> None:
        """Raises SizeDiffers where the server's length is not the listed one."""
        if size is not None and self._bytes is not None and size != self._bytes:
            raise SizeDiffers(f"{self._bytes} bytes were expected, the server has {size}")
        self._bytes = size if size is not None else self._bytes
        if not self._written:  # git hashes the length before the bytes
            self._hashes = self._fresh_hashes()

    def take(self, pieces: Sequence[bytes]) -> int:
        """How many bytes were added. Raises SizeDiffers, DiskFull, NotWritable."""
        before = self.size
        for piece in pieces:
            self.write(piece)
            self.count(piece)
        return self.size - before

    def write(self, piece: bytes | memoryview) -> None:
        """`count` must follow, in the same order; another thread may. Raises SizeDiffers, DiskFull, NotWritable."""
        if self._bytes is not None and self._written + len(piece) > self._bytes:
            raise SizeDiffers(f"the server sends more than {self._bytes} bytes")
        with _told_as_full():
            try:
                view = memoryview(piece)
                while view:
                    view = view[self._file.write(view) :]
            except OSError:
                self._file.seek(self._written)  # half a piece will never be hashed
                self._file.truncate()
                raise
        self._written += len(piece)

    def count(self, block: bytes | memoryview) -> None:
        """Hashes what was written."""
        self.size += len(block)
        for each in self._hashes.values():
            each.update(block)

    def empty(self) -> None:
        self._file.seek(0)
        self._file.truncate(0)
        self.size, self._written, self._hashes = 0, 0, self._fresh_hashes()

    def is_right(self) -> bool:
        found = {name: made.hexdigest() for name, made in self._hashes.items()}
        is_pinned = bool(self._wish.sha256 or self._wish.git)
        return bool(found) is is_pinned and all(getattr(self._wish, name) == value for name, value in found.items())

    def finish(self, target: Path) -> None:
        """Gives the file its name. Raises DigestDiffers, and then nothing of it is kept."""
        if not self.is_right():
            self._path.unlink(missing_ok=True)
            raise DigestDiffers(f"{target.name} is not what was pinned")
        with _told_as_full():
            os.fsync(self._file.fileno())
            self._path.replace(target)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def _fresh_hashes(self) -> dict[str, Any]:
        """sha256 where it is known; git's own only for what has no other."""
        if self._wish.sha256:
            return {"sha256": hashlib.sha256()}
        if self._wish.git and self._bytes is not None:
            head = b"blob %d\0" % self._bytes
            return {"git": hashlib.sha1(head, usedforsecurity=False)}
        return {}


@contextmanager
def _told_as_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        kind: Callable[[str], BackendError] = DiskFull if error.errno in _FULL else NotWritable
        raise kind(error.strerror or str(error)) from error
