"""What one socket is owed: a cursor per watched generation, credit in bytes, no queue.

Out of credit the cursor stands still; credit back means one merged delta. So a reader who never acknowledges costs
nothing but his cursor, and a slow phone still finishes.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from chat import followers, protocol
from chat.followers import End, Feed, Piece, Snapshot
from chat.protocol import frame
from chat.stream_log import Position

LOOK_SECONDS = 5.0  # how often a silent socket is checked for acknowledgements it owes
Send = Callable[[str], Awaitable[None]]
Cut = Callable[[int, str], None]


@dataclass(eq=False)
class Watch:
    """One followed generation on one socket; `g` stands for it in the frames."""

    g: int
    feed: Feed
    cursor: Position
    owed: deque[tuple[Position, int]] = field(default_factory=deque)
    owed_bytes: int = 0
    owed_since: float = 0.0
    shown_ahead: int | None = None
    is_started: bool = False
    is_done: bool = False


class Delivery:
    """The pump of one socket: round robin over what it watches, so that one flood starves nobody."""

    def __init__(self, send: Send, cut: Cut) -> None:
        self._send, self._cut = send, cut
        self._watches: dict[str, Watch] = {}
        self._by_number: dict[int, Watch] = {}
        self._numbers = 0
        self._wake = asyncio.Event()
        self._followers = followers.shared()
        self._pump = asyncio.create_task(self._run())
        self._owed_bytes = 0

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
        watch = self._watches.pop(generation, None)
        if watch is not None:
            self._by_number.pop(watch.g, None)
            self._owed_bytes -= watch.owed_bytes
            self._followers.unfollow(watch.feed, self._wake.set)

    def acknowledge(self, g: int, upto: Position) -> None:
        watch = self._by_number.get(g)
        while watch and watch.owed and watch.owed[0][0] <= upto:
            _place, size = watch.owed.popleft()
            watch.owed_bytes -= size
            self._owed_bytes -= size
            watch.owed_since = time.monotonic()
        self._wake.set()

    async def close(self) -> None:
        if asyncio.current_task() is not self._pump:
            self._pump.cancel()
        for generation in list(self._watches):
            self.unwatch(generation)

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            # A timer, not wait_for: that would make a task for every delta.
            timer = loop.call_later(LOOK_SECONDS, self._wake.set)
            await self._wake.wait()
            timer.cancel()
            self._wake.clear()
            if self._is_too_slow():
                self._cut(protocol.CLOSE_SLOW, "slow")
                return
            while True:
                progress = False
                for watch in list(self._watches.values()):
                    progress |= await self._deliver(watch)
                if not progress:
                    break

    def _is_too_slow(self) -> bool:
        limit = time.monotonic() - protocol.ACK_DEADLINE_SECONDS
        return any(watch.owed and watch.owed_since < limit for watch in self._watches.values())

    async def _deliver(self, watch: Watch) -> bool:
        """One frame for one generation; False when there is nothing to send or no credit to send it."""
        if not watch.is_started or watch.is_done:
            return False
        await self._show_place(watch)
        if watch.owed_bytes >= protocol.GENERATION_CREDIT or self._owed_bytes >= protocol.SOCKET_CREDIT:
            return False
        match await self._followers.read(watch.feed, watch.cursor):
            case Piece() as piece:
                text = protocol.delta(watch.g, piece.start, piece.end, piece.kind, piece.text, piece.tokens)
                await self._owe(watch, piece.end, text)
            case Snapshot() as snapshot:
                await self._snapshot(watch, snapshot)
            case End() as end:
                watch.is_done = True
                settled = end.settled
                await self._send(
                    frame(
                        "settled",
                        g=watch.g,
                        s=str(end.end),
                        state=settled.state,
                        reason=settled.reason,
                        usage=settled.usage,
                        sha256=settled.sha256,
                    )
                )
                self.unwatch(watch.feed.generation)
            case None:
                return False
        return True

    async def _show_place(self, watch: Watch) -> None:
        ahead = watch.feed.ahead
        if ahead is not None and ahead != watch.shown_ahead and watch.cursor.n == 0:
            watch.shown_ahead = ahead
            reason = {"code": "ahead" if ahead else "next", "args": {"n": ahead}}
            await self._send(frame("waiting", g=watch.g, ahead=ahead, yours=0, reason=reason))

    async def _owe(self, watch: Watch, end: Position, text: str) -> None:
        size = len(text)
        if not watch.owed:
            watch.owed_since = time.monotonic()
        watch.owed.append((end, size))
        watch.owed_bytes += size
        self._owed_bytes += size
        watch.cursor = end
        await self._send(text)

    async def _snapshot(self, watch: Watch, snapshot: Snapshot) -> None:
        """In pieces of a frame each; the first one replaces what is shown, the last one carries the counts."""
        pieces = _cut_up(snapshot.thinking, snapshot.answer)
        for index, (thinking, answer) in enumerate(pieces):
            is_last = index == len(pieces) - 1
            counts = {"t": snapshot.thinking_tokens, "a": snapshot.answer_tokens} if is_last else None
            place = str(snapshot.end if is_last else watch.cursor)
            text = frame(
                "snapshot",
                g=watch.g,
                s=place,
                thinking=thinking,
                answer=answer,
                replace=index == 0,
                last=is_last,
                n=counts,
            )
            await self._send(text)
        watch.cursor = snapshot.end


def _cut_up(thinking: str, answer: str) -> list[tuple[str, str]]:
    size = protocol.SNAPSHOT_CHARACTERS
    pieces = [(thinking[at : at + size], "") for at in range(0, len(thinking), size)]
    pieces += [("", answer[at : at + size]) for at in range(0, len(answer), size)]
    return pieces or [("", "")]
