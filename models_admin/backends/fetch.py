"""One file from a server to this disk: resumed from the bytes at hand, verified, and only then given its name.

A download holds a few blocks in memory, however long the file is. Reading goes on while a thread writes and hashes; a
large file is read by a thread as well, `large_body.py`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

import httpx

from models_admin.backends import hub_http
from models_admin.backends.base import BackendError, BrokeOff
from models_admin.backends.hub import Rules
from models_admin.backends.large_body import EXTENSION, LargeBody
from models_admin.backends.partial_file import PARTIAL, FileWish, PartialFile
from models_admin.orders.pull_orders import Stage

BLOCK_BYTES = 1024 * 1024
LARGE_BYTES = 8 * 1024 * 1024
SILENCE_SECONDS = 30.0
# In a row, without a byte more than ever before: some servers cut every connection at the same place.
TRIES = 5
FIRST_WAIT_SECONDS, MOST_WAIT_SECONDS = 0.5, 15.0


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
    file = PartialFile(target.with_name(target.name + PARTIAL), wish)
    try:
        meter.stage = "checking"
        await asyncio.to_thread(file.open)
        meter.have(file.size)
        was_resumed = file.size > 0
        await _fill(file, wish, rules, meter)
        if was_resumed and not file.is_right():  # a crash may have left bytes that were never written
            await _start_anew(file, meter)
            await _fill(file, wish, rules, meter)
        meter.stage = "verifying"
        await asyncio.to_thread(file.finish, target)
    finally:
        file.close()


async def _fill(file: PartialFile, wish: FileWish, rules: Rules, meter: Meter) -> None:
    most, tries = -1, 0
    while not file.is_whole:
        meter.stage = "loading"
        try:
            await _read(file, wish, rules, meter)
            cut: BackendError = BrokeOff("the file ended early")
        except BackendError as error:
            if not error.retryable:
                raise
            cut = error
        most, tries = (file.size, 0) if file.size > most else (most, tries + 1)
        if file.is_whole:
            return
        if tries >= TRIES:
            raise cut
        meter.stage = "waiting"
        await asyncio.sleep(min(MOST_WAIT_SECONDS, FIRST_WAIT_SECONDS * 2**tries))


async def _read(file: PartialFile, wish: FileWish, rules: Rules, meter: Meter) -> None:
    """One connection: from the bytes at hand to the end of the file, or to where the server cuts it."""
    asked = {"Range": f"bytes={file.size}-"} if file.size else {}
    is_large = wish.bytes is None or wish.bytes >= LARGE_BYTES
    async with (
        hub_http.told_as_ours(SILENCE_SECONDS) as silence,
        hub_http.answering(wish.url, rules, asked, is_large=is_large) as response,
    ):
        begins, size = hub_http.place_in_file(response, file.size)
        file.expect(size)
        if begins != file.size:
            await _start_anew(file, meter)
        body = response.extensions.get(EXTENSION)
        if isinstance(body, LargeBody):
            await _copy_large(body, file, meter, silence)
        else:
            await _copy(response, file, meter, silence)
    if size is None and wish.bytes is None:
        file.expect(file.size)


async def _copy_large(body: LargeBody, file: PartialFile, meter: Meter, silence: asyncio.Timeout) -> None:
    loop = asyncio.get_running_loop()

    def came(count: int) -> None:
        meter.got(count)
        if not silence.expired():
            silence.reschedule(loop.time() + SILENCE_SECONDS)

    await body.copy(file.write, file.count, came)


async def _copy(response: httpx.Response, file: PartialFile, meter: Meter, silence: asyncio.Timeout) -> None:
    loop, pieces, size, written_at = asyncio.get_running_loop(), list[bytes](), 0, 0.0
    writing = _Writing(file, meter)
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

    def __init__(self, file: PartialFile, meter: Meter) -> None:
        self._file, self._meter = file, meter
        self._pending: asyncio.Future[int] | None = None

    async def hand(self, pieces: list[bytes]) -> None:
        await self.end()
        if pieces:
            self._pending = asyncio.get_running_loop().run_in_executor(None, self._file.take, pieces)
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


async def _start_anew(file: PartialFile, meter: Meter) -> None:
    meter.have(-file.size)
    await asyncio.to_thread(file.empty)
