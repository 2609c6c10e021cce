"""A tab without a browser: it asks, watches, acknowledges, reconnects, and keeps what it would show."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp

from tests.processes import until_async
from tests.stack import MODEL, Person

SECONDS = 60
ACK_CHARACTERS, ACK_SECONDS = 16_384, 0.25


class Site(Protocol):
    """Whatever serves pages."""

    def url(self, web: int = 0) -> str: ...


@dataclass
class Shown:
    """What the tab shows of one generation; `s` is the place in its log."""

    generation: str
    thinking: str = ""
    answer: str = ""
    s: str = "0-0"
    waits: list[int] = field(default_factory=list)
    settled: dict[str, Any] | None = None
    frames: int = 0
    gaps: list[str] = field(default_factory=list)
    watches: int = 0


class Tab:
    """One socket of one person. `acks=False` never acknowledges, `returns=False` stays away once it is closed."""

    def __init__(self, stack: Site, person: Person, *, web: int = 0, acks: bool = True, returns: bool = True) -> None:
        self.stack, self.person, self.web, self.acks, self.returns = stack, person, web, acks, returns
        self.shown: dict[str, Shown] = {}
        self.frames: list[dict[str, Any]] = []
        self.closed_with: int | None = None
        self.connections = 0
        self._by_number: dict[int, Shown] = {}
        self._owed: dict[int, tuple[int, str]] = {}
        self._acknowledging: asyncio.Task[None] | None = None
        self._answers: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._http = aiohttp.ClientSession()
        self._listening: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Tab:
        await self._connect()
        self._listening = asyncio.create_task(self._live())
        await until_async(lambda: self.heard("hello") or self.closed_with, "hello")
        return self

    async def __aexit__(self, *_: object) -> None:
        self.returns = False
        if self._listening is not None:
            self._listening.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._listening
        await self._http.close()

    def heard(self, kind: str) -> list[dict[str, Any]]:
        return [frame for frame in self.frames if frame["type"] == kind]

    async def ask(self, text: str, *, key: str | None = None, model: str = MODEL, **fields: Any) -> Shown:
        """Submit, watch, and return what will be shown. The question should be unlike any other."""
        answer = await self.wish("ask", key=key or str(uuid.uuid4()), text=text, model=model, **fields)
        assert answer["type"] == "accepted", answer
        return await self.watch(answer["generation"])

    async def watch(self, generation: str) -> Shown:
        shown = self.shown.setdefault(generation, Shown(generation))
        await self.wish("watch", generation=generation, after=shown.s)
        return shown

    async def stop(self, shown: Shown) -> None:
        await self.wish("stop", generation=shown.generation)

    async def wish(self, kind: str, **fields: Any) -> dict[str, Any]:
        """Send a frame with an id and return the frame that answers it."""
        id_ = uuid.uuid4().hex
        self._answers[id_] = asyncio.get_running_loop().create_future()
        await self.send(kind, id=id_, **fields)
        return await asyncio.wait_for(self._answers[id_], SECONDS)

    async def send(self, kind: str, **fields: Any) -> None:
        await self.send_raw(json.dumps({"type": kind, **fields}))

    async def send_raw(self, text: str) -> None:
        assert self._socket is not None
        await self._socket.send_str(text)

    async def settled(self, *shown: Shown, seconds: float = SECONDS) -> None:
        for each in shown or tuple(self.shown.values()):
            await until_async(lambda each=each: each.settled, f"{each.generation} settles", seconds)

    async def _connect(self) -> None:
        url = self.stack.url(self.web)
        headers = {"Origin": url, "Cookie": f"sessionid={self.person.session}"}
        self._socket = await self._http.ws_connect(f"{url}/ws/", headers=headers, max_msg_size=0, heartbeat=None)
        self.connections += 1
        await self.send("hello", v=1, tab="test")

    async def _live(self) -> None:
        while True:
            await self._listen()
            if not self.returns:
                return
            await self._return()

    async def _listen(self) -> None:
        assert self._socket is not None
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.TEXT:
                    await self._take(json.loads(message.data))
        self.closed_with = self._socket.close_code

    async def _return(self) -> None:
        self._by_number.clear()
        self._owed.clear()
        while True:
            await asyncio.sleep(0.2)
            try:
                await self._connect()
                break
            except (aiohttp.ClientError, OSError):
                continue
        for shown in self.shown.values():
            if shown.settled is None:
                await self.send("watch", id=uuid.uuid4().hex, generation=shown.generation, after=shown.s)

    async def _take(self, frame: dict[str, Any]) -> None:
        kind = frame["type"]
        if kind != "d":
            self.frames.append(frame)
        if kind == "watching":
            shown = self.shown.setdefault(frame["generation"], Shown(frame["generation"]))
            shown.watches += 1
            self._by_number[frame["g"]] = shown
        waiting = self._answers.pop(frame.get("id", ""), None)
        if waiting is not None and not waiting.done():
            waiting.set_result(frame)
        shown = self._by_number.get(frame.get("g", 0))
        if shown is not None:
            await self._show(shown, frame)

    async def _show(self, shown: Shown, frame: dict[str, Any]) -> None:
        match frame["type"]:
            case "d":
                await self._add(shown, frame)
            case "snapshot":
                if frame["replace"]:
                    shown.thinking = shown.answer = ""
                shown.thinking += frame["thinking"]
                shown.answer += frame["answer"]
                shown.s = frame["s"]
                await self._owe(frame, len(frame["thinking"] + frame["answer"]))
            case "waiting":
                shown.waits.append(frame["ahead"])
            case "settled":
                shown.settled = frame
                await self._owe(frame, ACK_CHARACTERS)

    async def _add(self, shown: Shown, frame: dict[str, Any]) -> None:
        if frame["f"] != shown.s and not (shown.s == "0-0" and frame["f"].endswith("-0")):
            shown.gaps.append(f"{frame['f']} came after {shown.s}")
            await self.send("watch", id=uuid.uuid4().hex, generation=shown.generation, after=shown.s)
            return
        if frame["k"] == "t":
            shown.thinking += frame["d"]
        else:
            shown.answer += frame["d"]
        shown.s, shown.frames = frame["s"], shown.frames + 1
        await self._owe(frame, len(frame["d"]))

    async def _owe(self, frame: dict[str, Any], characters: int) -> None:
        """Acknowledge by characters or by time, whichever is first, as the page does."""
        if not self.acks:
            return
        owed, _place = self._owed.get(frame["g"], (0, ""))
        self._owed[frame["g"]] = owed + characters, frame["s"]
        if owed + characters >= ACK_CHARACTERS:
            await self._acknowledge()
        elif self._acknowledging is None or self._acknowledging.done():
            self._acknowledging = asyncio.create_task(self._acknowledge(ACK_SECONDS))

    async def _acknowledge(self, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        owed, self._owed = self._owed, {}
        with contextlib.suppress(aiohttp.ClientError, ConnectionError):
            for g, (_characters, place) in owed.items():
                await self.send("ack", g=g, s=place)
