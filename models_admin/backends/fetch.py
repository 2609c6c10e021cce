"""One file from a server to this disk: resumed from the bytes at hand, verified, and only then given its name.

A download holds a few blocks in memory, however long the file is. Reading goes on while a thread writes and hashes.
"""

from __future__ import annotations

import asyncio
import errno
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import httpx

from models_admin.backends import hub_http
from models_admin.backends.base import BackendError, BadRequest, BrokeOff
from models_admin.backends.hub import Rules
from models_admin.pull_orders import Stage

BLOCK_BYTES = 1024 * 1024
SILENCE_SECONDS = 30.0
# In a row, without a byte more than ever before: some servers cut every connection at the same place.
TRIES = 5
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 0.5, 15.0
PARTIAL = ".partial"
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


@dataclass
class Meter:
    """How far a pull is, in bytes. `moved` came over the network in this attempt; `done` is what is there."""

    stage: Stage = "starting"
    total: int | None = None
    done: int = 0
    moved: int = 0

    def have(self, count: int) -> None:
        """So many bytes were there already; less than none: so many are given up."""
        self.done += count

    def got(self, count: int) -> None:
        self.done += count
        self.moved += count


async def fetch(wish: FileWish, target: Path, rules: Rules, meter: Meter) -> None:
    """Returns when `target` is there, every digest right. Raises BackendError; what came stays in `<name>.partial`."""
    sink = _Sink(target.with_name(target.name + PARTIAL), wish)
    try:
        meter.stage = "checking"
        await asyncio.to_thread(sink.open)
        meter.have(sink.size)
        was_resumed = sink.size > 0
        await _fill(sink, wish, rules, meter)
        if was_resumed and not sink.is_right():  # a crash may have left bytes that were never written
            await _start_anew(sink, meter)
            await _fill(sink, wish, rules, meter)
        meter.stage = "verifying"
        await asyncio.to_thread(sink.finish, target)
    finally:
        sink.close()


async def _fill(sink: _Sink, wish: FileWish, rules: Rules, meter: Meter) -> None:
    most, tries = -1, 0
    while not sink.is_whole:
        meter.stage = "loading"
        try:
            await _read(sink, wish, rules, meter)
            cut: BackendError = BrokeOff("the file ended early")
        except BackendError as error:
            if not error.retryable:
                raise
            cut = error
        most, tries = (sink.size, 0) if sink.size > most else (most, tries + 1)
        if sink.is_whole:
            return
        if tries >= TRIES:
            raise cut
        meter.stage = "waiting"
        await asyncio.sleep(min(MOST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**tries))


async def _read(sink: _Sink, wish: FileWish, rules: Rules, meter: Meter) -> None:
    """One connection: from the bytes at hand to the end of the file, or to where the server cuts it."""
    asked = {"Range": f"bytes={sink.size}-"} if sink.size else {}
    async with (
        hub_http.told_as_ours(SILENCE_SECONDS) as silence,
        hub_http.answering(wish.url, rules, asked) as response,
    ):
        begins, size = hub_http.place_in_file(response, sink.size)
        sink.expect(size)
        if begins != sink.size:
            await _start_anew(sink, meter)
        await _copy(response, sink, meter, silence)
    if size is None and wish.bytes is None:
        sink.expect(sink.size)


async def _copy(response: httpx.Response, sink: _Sink, meter: Meter, silence: asyncio.Timeout) -> None:
    loop, pieces, size, written_at = asyncio.get_running_loop(), list[bytes](), 0, 0.0
    writing = _Writing(sink, meter)
    try:
        async for chunk in response.aiter_raw():
            pieces.append(chunk)
            size += len(chunk)
            is_late = (now := loop.time()) - written_at > 1
            if size >= BLOCK_BYTES or is_late:
                written_at = now
                silence.reschedule(now + SILENCE_SECONDS)
                full, pieces, size = pieces, [], 0
                await writing.hand(full)
    finally:
        await writing.hand(pieces)
        await writing.end()


class _Writing:
    """One block is written while the next is read; the reader waits for the disk, never the other way round."""

    def __init__(self, sink: _Sink, meter: Meter) -> None:
        self._sink, self._meter = sink, meter
        self._pending: asyncio.Future[int] | None = None

    async def hand(self, pieces: list[bytes]) -> None:
        await self.end()
        if pieces:
            self._pending = asyncio.get_running_loop().run_in_executor(None, self._sink.take, pieces)
            self._pending.add_done_callback(self._note)

    async def end(self) -> None:
        """Waits for the thread whatever happens: the file must not be closed under it."""
        pending, self._pending = self._pending, None
        if pending is not None:
            await asyncio.wait([pending])
            pending.result()

    def _note(self, written: asyncio.Future[int]) -> None:
        if not written.cancelled() and written.exception() is None:
            self._meter.got(written.result())


async def _start_anew(sink: _Sink, meter: Meter) -> None:
    meter.have(-sink.size)
    await asyncio.to_thread(sink.empty)


class _Sink:
    """The partial file with the running hash of all its bytes. Its methods are called from one thread at a time."""

    def __init__(self, path: Path, wish: FileWish) -> None:
        self._path, self._wish = path, wish
        self._bytes, self.size = wish.bytes, 0
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
            while block := self._file.read(BLOCK_BYTES):
                self._count(block)

    @property
    def is_whole(self) -> bool:
        return self.size == self._bytes

    def expect(self, size: int | None) -> None:
        """Raises SizeDiffers where the server's length is not the listed one."""
        if size is not None and self._bytes is not None and size != self._bytes:
            raise SizeDiffers(f"{self._bytes} bytes were expected, the server has {size}")
        self._bytes = size if size is not None else self._bytes

    def take(self, pieces: list[bytes]) -> int:
        """How many bytes were added. Raises SizeDiffers, DiskFull."""
        before = self.size
        for piece in pieces:
            if self._bytes is not None and self.size + len(piece) > self._bytes:
                raise SizeDiffers(f"the server sends more than {self._bytes} bytes")
            with _told_as_full():
                try:
                    self._write(memoryview(piece))
                except OSError:
                    self._file.truncate(self.size)  # half a piece was never hashed
                    raise
            self._count(piece)
        return self.size - before

    def _write(self, view: memoryview) -> None:
        while view:
            view = view[self._file.write(view) :]

    def empty(self) -> None:
        self._file.seek(0)
        self._file.truncate(0)
        self.size, self._hashes = 0, self._fresh_hashes()

    def is_right(self) -> bool:
        found = {name: made.hexdigest() for name, made in self._hashes.items()}
        return all(getattr(self._wish, name) == value for name, value in found.items())

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

    def _count(self, block: bytes) -> None:
        self.size += len(block)
        for each in self._hashes.values():
            each.update(block)

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
