"""What one socket is owed: a cursor per watched generation, credit in bytes, no queue.

Out of credit the cursor stands still; credit back means one merged delta. So a reader who never acknowledges costs
nothing but his cursor, and a slow phone still finishes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import msgspec

from chat import bells, followers, protocol, thinking_end
from chat.answer_log import Position
from chat.bells import Place
from chat.followers import End, Feed, Piece, Snapshot
from chat.protocol import frame

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0  # how often a silent socket is checked for acknowledgements it owes
# Told in the midst of the text too.
LATE_STAGES = frozenset(thinking_end.STAGES.values())
Send = Callable[[str], Awaitable[None]]
Cut = Callable[[int, str], None]


@dataclass(eq=False)
class Watch:
    """One followed generation on one socket; `g` stands for it in the frames.

    `rest` are the frames of a snapshot up to `until` that are not sent yet, `sent` counts those that are.
    What is owed outlives the watching.
    """

    g: int
    feed: Feed
    cursor: Position
    owed: deque[tuple[Position, int]] = field(default_factory=deque)
    owed_bytes: int = 0
    owed_since: float = 0.0
    shown: tuple[Place | None, str] = (None, "")
    rest: Iterator[tuple[Position, str]] | None = None
    until: Position = field(default_factory=Position)
    sent: int = 0
    is_started: bool = False


class Delivery:
    """The pump of one socket: round robin over what it watches, so that one flood starves nobody."""

    def __init__(self, send: Send, cut: Cut) -> None:
        self._send, self._cut = send, cut
        self._watches: dict[str, Watch] = {}
        self._by_number: dict[int, Watch] = {}
        self._numbers = 0
        self._owed_bytes = 0
        self._wake = asyncio.Event()
        self._followers = followers.shared()
        self._pump = asyncio.create_task(self._run())
        self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    @property
    def is_full(self) -> bool:
        return len(self._watches) >= protocol.WATCHED_PER_SOCKET

    def watch(self, generation: str, after: Position) -> Watch:
        self.unwatch(generation)
        self._numbers += 1
        watch = Watch(self._numbers, self._followers.follow(generation, self._wake.set), after)
        self._watches[generation] = self._by_number[watch.g] = watch
        return watch

    def start(self, watch: Watch) -> None:
        watch.is_started = True
        self._wake.set()

    def unwatch(self, generation: str) -> None:
        """Send no more of it. What was sent stays owed: watching again gives no new credit."""
        watch = self._watches.pop(generation, None)
        if watch is not None:
            watch.rest = None
            self._followers.unfollow(watch.feed, self._wake.set)
            if not watch.owed:
                self._by_number.pop(watch.g, None)

    def acknowledge(self, g: int, upto: Position) -> None:
        watch = self._by_number.get(g)
        if watch is None:
            return
        while watch.owed and watch.owed[0][0] <= upto:
            _place, size = watch.owed.popleft()
            watch.owed_bytes -= size
            self._owed_bytes -= size
            watch.owed_since = time.monotonic()
        if not watch.owed and self._watches.get(watch.feed.generation) is not watch:
            del self._by_number[g]
        self._wake.set()

    async def close(self) -> None:
        self._timer.cancel()
        if asyncio.current_task() is not self._pump:
            self._pump.cancel()
        for generation in list(self._watches):
            self.unwatch(generation)

    def _look(self) -> None:
        limit = time.monotonic() - protocol.ACK_DEADLINE_SECONDS
        if any(watch.owed and watch.owed_since < limit for watch in self._by_number.values()):
            self._cut(protocol.CLOSE_SLOW, "slow")
        else:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while await self._deliver_round():
                    pass
        except Exception:  # the page comes back and asks for what it lacks
            log.exception("delivery failed")
            self._cut(protocol.CLOSE_RESTART, "restart")

    async def _deliver_round(self) -> bool:
        """At most one frame for each generation; False when there was nothing to send."""
        progress = False
        for watch in list(self._watches.values()):
            progress |= await self._deliver(watch)
        return progress

    async def _deliver(self, watch: Watch) -> bool:
        """One frame for one generation; False when there is nothing to send or no credit to send it."""
        if not watch.is_started:
            return False
        await self._show_place(watch)
        if watch.owed_bytes >= protocol.GENERATION_CREDIT or self._owed_bytes >= protocol.SOCKET_CREDIT:
            if watch.feed.has_ended:  # its text stays as it is: better read again than kept for a silent reader
                watch.rest = None
            return False
        if watch.rest is not None:
            return await self._go_on(watch, watch.rest)
        if any(other.rest is not None for other in self._watches.values()):
            return False  # one snapshot at a time: a socket holds no more than one whole text
        match await self._followers.read(watch.feed, watch.cursor):
            case Piece() as piece:
                text = protocol.delta(watch.g, piece.start, piece.end, piece.kind, piece.text, piece.tokens)
                await self._owe(watch, piece.end, text)
                watch.cursor = piece.end
            case Snapshot() as snapshot:
                watch.rest = islice(_frames(watch.g, watch.cursor, snapshot), watch.sent, None)
                watch.until = snapshot.end
                return await self._go_on(watch, watch.rest)
            case End() as end:
                self.unwatch(watch.feed.generation)
                await self._send(_settled(watch.g, end))
            case None:
                return False
        return True

    async def _go_on(self, watch: Watch, rest: Iterator[tuple[Position, str]]) -> bool:
        following = next(rest, None)
        if following is not None:
            watch.sent += 1
            await self._owe(watch, *following)
        else:
            watch.rest, watch.sent, watch.cursor = None, 0, watch.until
        return True

    async def _show_place(self, watch: Watch) -> None:
        """Until text comes: how many are ahead and why, then what the engine does with the question."""
        feed = watch.feed
        shown = feed.place, feed.stage
        is_told_late = feed.is_in_gap or feed.stage in LATE_STAGES
        if watch.shown == shown or (watch.cursor.n and not is_told_late):
            return
        watch.shown = shown
        if (place := feed.place) is not None:
            code = place.why.code or ("ahead" if place.ahead else "next")
            why = {"code": code, "args": {"n": place.ahead, **place.why.args}}
            low, high = bells.seconds_until(place.low), bells.seconds_until(place.high)
            await self._send(frame("waiting", g=watch.g, ahead=place.ahead, low=low, high=high, reason=why))
        elif feed.stage:
            await self._send(frame("stage", g=watch.g, stage=feed.stage))

    async def _owe(self, watch: Watch, place: Position, text: str) -> None:
        size = len(text) if text.isascii() else len(text.encode())
        if not watch.owed:
            watch.owed_since = time.monotonic()
        watch.owed.append((place, size))
        watch.owed_bytes += size
        self._owed_bytes += size
        await self._send(text)


def _settled(g: int, end: End) -> str:
    told = end.settled
    fields = {"state": told.state, "reason": told.reason, "finish": told.finish, "usage": told.usage}
    return frame("settled", g=g, s=str(end.end), sha256=told.sha256, **fields)


def _frames(g: int, cursor: Position, snapshot: Snapshot) -> Iterator[tuple[Position, str]]:
    """In pieces of a frame each; the first one replaces what is shown, the last one carries the counts."""
    pieces = _cut_up(snapshot.thinking, snapshot.answer)
    for index, (thinking, answer) in enumerate(pieces):
        is_last = index == len(pieces) - 1
        counts = {"t": snapshot.thinking_tokens, "a": snapshot.answer_tokens} if is_last else None
        place = snapshot.end if is_last else cursor
        seams = msgspec.to_builtins(snapshot.seams) if is_last and snapshot.seams else None
        body = {"thinking": thinking, "answer": answer, "replace": index == 0, "last": is_last, "n": counts}
        body["seams"] = seams
        yield place, frame("snapshot", g=g, s=str(place), **body)


def _cut_up(thinking: str, answer: str) -> list[tuple[str, str]]:
    size = protocol.SNAPSHOT_CHARACTERS
    pieces = [(thinking[at : at + size], "") for at in range(0, len(thinking), size)]
    pieces += [("", answer[at : at + size]) for at in range(0, len(answer), size)]
    return pieces or [("", "")]
