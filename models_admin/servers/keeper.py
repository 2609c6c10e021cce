"""The keeper of engine servers on a host: the one process that brings what runs in line with what the site wants.

Every process of the host may note an order and wait to be the keeper; the next takes over when the one has died. The
servers are nobody's children for long: they run on without a keeper, and end when told to, or with `end_all`.
"""

from __future__ import annotations

import asyncio
import fcntl
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import msgspec

from models_admin.orders.launch_orders import LaunchOrder, ServerWord
from models_admin.servers import keeper_wishes
from models_admin.servers.keeper_life import Life, Pauses, cancelled, in_thread
from models_admin.servers.keeper_process import Ending
from models_admin.servers.keeper_records import Place, Record, places
from models_admin.servers.keeper_wishes import note

__all__ = ["Keeper", "Pauses", "end_all", "note"]

log = logging.getLogger(__name__)
Report = Callable[[list[ServerWord]], Awaitable[None]]
# An end is told so often before it is forgotten: a word may be lost on its way.
TELL_END_TIMES = 3
REPORT_SECONDS = 30.0


class Keeper:
    def __init__(
        self, folder: Path, key_of: Callable[[int, int], str], *, path: str | None = None, pauses: Pauses | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """`key_of` gives the key of a deployment's server at an attempt, `path` is where programs are looked for."""
        self._folder, self._key_of, self._path = folder, key_of, path
        self._pauses, self._now = pauses or Pauses(), now
        self._lives: dict[int, tuple[LaunchOrder, asyncio.Task[None]]] = {}
        self._words: dict[int, ServerWord] = {}
        self._ends_told: dict[int, int] = {}
        self._news = asyncio.Event()

    async def run(self, report: Report) -> None:
        """For ever. `report` is called with all servers at each change and every few seconds; it may fail."""
        async with _turn(self._folder, self._pauses.look):
            teller = asyncio.create_task(self._tell(report))
            try:
                while True:
                    try:
                        await self._line_up()
                    except OSError:  # a disk that fails now may not fail the next time
                        log.exception("what the site wants could not be read")
                    await asyncio.sleep(self._pauses.look)
            finally:
                await cancelled(teller, *(task for _order, task in self._lives.values()))

    async def _line_up(self) -> None:
        orders = await in_thread(partial(keeper_wishes.orders, self._folder))
        for order in orders:
            known, task = self._lives.get(order.deployment, (None, None))
            has_crashed = task is not None and _has_crashed(task)
            if known == order and not has_crashed:
                continue
            if task:
                await cancelled(task)
            life = self._live(order, after=self._pauses.longest_restart if has_crashed else 0.0)
            self._lives[order.deployment] = order, asyncio.create_task(life)
        for deployment in self._lives.keys() - {order.deployment for order in orders}:
            del self._lives[deployment]

    async def _live(self, order: LaunchOrder, *, after: float) -> None:
        await asyncio.sleep(after)
        life = Life(
            order, Place(self._folder, order.deployment), key=self._key_of(order.deployment, order.attempt),
            tell=self._hear, pauses=self._pauses, path=self._path, now=self._now,
        )  # fmt: skip
        await life.live()

    def _hear(self, word: ServerWord) -> None:
        if self._words.get(word.deployment) != word:
            self._words[word.deployment] = word
            self._news.set()

    async def _tell(self, report: Report) -> None:
        while True:
            self._news.clear()
            words = list(self._words.values())
            if words:
                try:
                    async with asyncio.timeout(REPORT_SECONDS):
                        await report(await self._with_logs(words))
                    await self._forget_ends(words)
                except Exception:  # whatever the way to the site does, the servers are kept
                    log.exception("the words of %d servers were not told", len(words))
            await self._wait_for_news()

    async def _wait_for_news(self) -> None:
        await asyncio.sleep(min(self._pauses.look, self._pauses.tell))  # words that come together are told together
        try:
            async with asyncio.timeout(self._pauses.tell):
                await self._news.wait()
        except TimeoutError:
            return

    async def _with_logs(self, words: Collection[ServerWord]) -> list[ServerWord]:
        return [await in_thread(partial(self._with_log, word)) for word in words]

    def _with_log(self, word: ServerWord) -> ServerWord:
        key = self._key_of(word.deployment, word.attempt)
        return msgspec.structs.replace(word, log=Place(self._folder, word.deployment).log.end(secret=key))

    async def _forget_ends(self, told: Collection[ServerWord]) -> None:
        for word in told:
            if word.stage != "ended" or self._words.get(word.deployment) != word:
                self._ends_told.pop(word.deployment, None)
                continue
            self._ends_told[word.deployment] = self._ends_told.get(word.deployment, 0) + 1
            if self._ends_told[word.deployment] >= TELL_END_TIMES:
                del self._words[word.deployment], self._ends_told[word.deployment]
                order = LaunchOrder(word.deployment, word.attempt)
                await in_thread(partial(keeper_wishes.settle, self._folder, order))
                # Whoever asks again is to hear it again, even before the next look at the wishes.
                if self._lives.get(word.deployment, (None,))[0] == order:
                    del self._lives[word.deployment]


def end_all(folder: Path, *, seconds: float = 20.0, patience: float = 10.0) -> bool:
    """Ends every server, for a site that ends in order; what is wanted stays noted. True where none is left.

    Waits for the keeper to have gone: a living one would begin them again.
    """
    deadline = time.monotonic() + seconds
    while (lock := _locked(folder)) is None:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    try:
        left = {place: Ending(place.group(place.read()), patience=patience) for place in places(folder)}
        while left and time.monotonic() < deadline:
            for place in [place for place, ending in left.items() if ending.step()]:
                _note_end(place)
                del left[place]
            time.sleep(0.05)
        return not left
    finally:
        os.close(lock)


def _note_end(place: Place) -> None:
    record = place.read()
    if record:
        place.write(Record(record.order, failures=record.failures, reason=record.reason, detail=record.detail))


def _has_crashed(task: asyncio.Task[None]) -> bool:
    if not task.done() or task.cancelled() or task.exception() is None:
        return False
    log.error("the keeping of a server broke off and begins anew", exc_info=task.exception())
    return True


@asynccontextmanager
async def _turn(folder: Path, pause: float) -> AsyncIterator[None]:
    """The right to keep this host's servers, as long as this process lives."""
    while (lock := _locked(folder)) is None:  # noqa: ASYNC110 - it is given back in another process
        await asyncio.sleep(pause)
    try:
        yield
    finally:
        os.close(lock)


def _locked(folder: Path) -> int | None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    return lock
