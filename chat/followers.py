"""One subscriber per web process: it hands the news of every followed generation to those who follow it.

A feed keeps only a short tail; who lags further behind reads the log, and where that is gone, the database.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from django.conf import settings
from django.db import DatabaseError

from chat import bells, seams, settlement, stream_log
from chat.answer_log import BEGIN, GAP, KEPT, SEAL, Entry, Position
from chat.bells import Place, Why
from chat.database import in_database
from chat.models import Generation
from chat.seams import Seam
from chat.settlement import Settled
from live import doorbell
from live import redis as connections
from live.redis import RedisError
from models_admin.engines import fleet

TAIL_CHARACTERS = 32_768
POLL_SECONDS = 1.5
NO_RUNNER = "no_runner"
PIECE_CHARACTERS = 8_000  # 32 KiB as UTF-8 at most


@dataclass(frozen=True)
class Piece:
    """Text of one kind between two positions. `tokens` counts the kind's tokens so far."""

    start: Position
    end: Position
    kind: str
    text: str
    tokens: int


@dataclass(frozen=True)
class Snapshot:
    """All text so far, and where it went on after a loss: it replaces what is shown."""

    end: Position
    thinking: str
    answer: str
    thinking_tokens: int
    answer_tokens: int
    seams: tuple[Seam, ...] = ()


@dataclass(frozen=True)
class End:
    """The end, with the position it was reached at."""

    end: Position
    settled: Settled


@dataclass(eq=False)
class Feed:
    """The newest news of one generation in this process."""

    generation: str
    wakers: list[Callable[[], None]] = field(default_factory=list)
    tail: deque[Entry] = field(default_factory=deque)
    size: int = 0
    last: Position | None = None
    place: Place | None = None
    stage: str = ""
    is_in_gap: bool = False
    has_ended: bool = False

    def push(self, attempt: int, entry: Entry) -> None:
        last = self.last
        if last is None or last.attempt != attempt or entry.n != last.n + 1:
            if last is not None and Position(attempt, entry.n) <= last:
                return
            self.forget()
        self.last = Position(attempt, entry.n)
        self.tail.append(entry)
        self.size += len(entry.text)
        while self.size > TAIL_CHARACTERS and len(self.tail) > 1:
            self.size -= len(self.tail.popleft().text)

    def forget(self) -> None:
        """News may have been missed: the next read asks the log."""
        self.last = None
        self.tail.clear()
        self.size = 0

    def wake(self) -> None:
        for waker in self.wakers:
            waker()

    def after(self, place: Position) -> list[Entry] | None:
        """Entries behind `place` out of the tail; None if the tail does not reach back that far."""
        if self.last is None or self.last.attempt != place.attempt or not self.tail:
            return None
        behind = self.last.n - place.n
        if behind > len(self.tail):
            return None
        return [self.tail[index] for index in range(len(self.tail) - behind, len(self.tail))] if behind > 0 else []


class Followers:
    """The feeds of a web process. Use `shared()`; it starts on the loop that first asks."""

    def __init__(self) -> None:
        self.redis = connections.commands(settings.REDIS_URL)
        self._feeds: dict[str, Feed] = {}
        self._tasks = [
            asyncio.create_task(doorbell.listen([bells.LIVE], self._heard)),
            asyncio.create_task(self._poll()),
        ]

    def follow(self, generation: str, waker: Callable[[], None]) -> Feed:
        feed = self._feeds.setdefault(generation, Feed(generation))
        feed.wakers.append(waker)
        return feed

    def unfollow(self, feed: Feed, waker: Callable[[], None]) -> None:
        feed.wakers.remove(waker)
        if not feed.wakers:
            self._feeds.pop(feed.generation, None)

    def _heard(self, channel: str, payload: bytes) -> None:
        if not channel:  # reconnected: anything may have been missed
            for feed in self._feeds.values():
                feed.forget()
                feed.wake()
            return
        woken: dict[str, Feed] = {}
        for generation, attempt, _start, n, kind, text, tokens in msgspec.msgpack.decode(payload):
            followed = self._feeds.get(generation)
            if followed is not None:
                _take(followed, attempt, Entry(n, kind, text, tokens))
                woken[generation] = followed
        for followed in woken.values():
            followed.wake()

    async def _poll(self) -> None:
        """What a lost doorbell would hide: ended generations, and that nobody is there to ring it."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            followed = [key for key, feed in self._feeds.items() if not feed.has_ended]
            if not followed:
                continue
            try:
                ended, has_runner = await in_database(_look, followed)
            except DatabaseError:  # away for a moment: the next look tells
                continue
            for feed in [self._feeds[key] for key in followed if key in self._feeds]:
                place = feed.place
                if place is not None and has_runner == (place.why.code == NO_RUNNER):
                    feed.place = Place(place.ahead, Why() if has_runner else Why(NO_RUNNER))
                elif feed.generation not in ended:
                    continue
                feed.has_ended = feed.generation in ended
                feed.wake()

    async def read(self, feed: Feed, place: Position) -> Piece | Snapshot | End | None:
        """What comes behind `place`; None when there is nothing yet."""
        entries = feed.after(place)
        if entries is None:
            with contextlib.suppress(RedisError, OSError):
                found = await self._from_log(feed, place)
                if found is not None or not feed.has_ended:
                    return found
            return await self._from_database(feed, place) if feed.has_ended else None
        if entries:
            return await self._piece(feed, place, entries)
        return await self._from_database(feed, place) if feed.has_ended else None

    async def _from_log(self, feed: Feed, place: Position) -> Piece | Snapshot | End | None:
        rows = await stream_log.read_after(self.redis, feed.generation, place)
        if not rows:
            feed.last = feed.last or (place if place.attempt else None)
            return None
        attempt, first = rows[0]
        if first.kind == BEGIN and (place.attempt in (0, attempt) or attempt > place.attempt):
            if first.text == KEPT and place.attempt != attempt:  # it goes on behind text that the database has
                return await self._from_database(feed, place)
            if place.attempt not in (0, attempt):
                return Snapshot(Position(attempt, 0), "", "", 0, 0)
            place, rows = Position(attempt, 0), rows[1:]
        if not rows:
            return None
        attempt, first = rows[0]
        if attempt != place.attempt or first.n != place.n + 1:
            return await self._from_database(feed, place)
        return await self._piece(feed, place, [entry for each, entry in rows if each == attempt])

    async def _piece(self, feed: Feed, place: Position, entries: list[Entry]) -> Piece | Snapshot | End | None:
        first = entries[0]
        if first.kind == SEAL:
            return await self._from_database(feed, Position(place.attempt, first.n))
        taken, size = [first.text], len(first.text)
        last = first
        for entry in entries[1:]:
            if entry.kind != first.kind or size + len(entry.text) > PIECE_CHARACTERS:
                break
            taken.append(entry.text)
            size += len(entry.text)
            last = entry
        return Piece(place, Position(place.attempt, last.n), first.kind, "".join(taken), last.tokens)

    async def _from_database(self, feed: Feed, place: Position) -> Snapshot | End | None:
        snapshot, settled = await in_database(_stored, feed.generation)
        if settled is not None:
            feed.has_ended = True
            if place >= snapshot.end or place == Position(snapshot.end.attempt, snapshot.end.n + 1):
                return End(snapshot.end, settled)
        return snapshot if snapshot.end > place else None


def _take(feed: Feed, attempt: int, entry: Entry) -> None:
    if entry.kind == bells.PLACE:
        feed.place = bells.place(entry.text, entry.tokens)
    elif entry.kind == bells.STAGE:
        feed.place, feed.stage, feed.is_in_gap = None, entry.text, entry.text == GAP
    elif entry.kind == bells.ENDED:
        feed.has_ended = True
    else:
        feed.push(attempt, entry)


def _look(generations: list[str]) -> tuple[set[str], bool]:
    """Those that have ended, and whether a runner lives."""
    rows = Generation.objects.filter(pk__in=generations).exclude(state__in=Generation.LIVE)
    return {str(pk) for pk in rows.values_list("pk", flat=True)}, fleet.has_live_worker()


def _stored(generation: str) -> tuple[Snapshot, Settled | None]:
    row = Generation.objects.select_related("message").get(pk=generation)
    message = row.message
    end = Position(row.attempt, row.last_seq)
    thinking, answer = (message.thinking, message.text) if message else ("", "")
    goes_on = row.text_from or row.thinking_from
    found = seams.of_messages([message.pk]).get(message.pk, []) if message and goes_on else []
    snapshot = Snapshot(end, thinking, answer, row.thinking_tokens, row.answer_tokens, tuple(found))
    return snapshot, settlement.settled(row)


@functools.cache
def shared() -> Followers:
    """This process's followers."""
    return Followers()
