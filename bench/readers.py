"""Readers that note when each piece of an answer arrived, and whether it arrived whole."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from dataclasses import dataclass, field

import aiohttp

from tests import scripted_text
from tests.running_engines import KEY
from tests.stack import MODEL, Person, Stack

ACK_CHARACTERS, ACK_SECONDS = 16_384, 0.25  # as the page does


@dataclass
class Reading:
    """Seconds on the monotonic clock; `thinking` and `answer` as they arrived."""

    question: str
    asked: float = 0.0
    arrivals: list[float] = field(default_factory=list)
    thinking: str = ""
    answer: str = ""

    @property
    def tokens(self) -> int:
        return len(self.thinking.split()) + len(self.answer.split())

    @property
    def is_whole(self) -> bool:
        script = scripted_text.read(self.question)
        return (self.thinking, self.answer) == (script.thinking_text, script.answer_text)


async def read_http(http: aiohttp.ClientSession, url: str, question: str) -> Reading:
    """One answer in OpenAI's shape, from the engine itself or from the proxy."""
    reading = Reading(question)
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}], "stream": True}
    headers = {"Authorization": f"Bearer {KEY}"}
    reading.asked = time.monotonic()
    async with http.post(f"{url}/v1/chat/completions", json=body, headers=headers) as answer:
        async for line in answer.content:
            if line.startswith(b"data: {"):
                _take_event(reading, json.loads(line[6:]))
    return reading


def _take_event(reading: Reading, event: dict) -> None:  # type: ignore[type-arg]
    for choice in event.get("choices", ()):
        thinking, text = choice["delta"].get("reasoning_content"), choice["delta"].get("content")
        if thinking or text:
            reading.arrivals.append(time.monotonic())
            reading.thinking += thinking or ""
            reading.answer += text or ""


class Socket:
    """One open socket of the site; `read` asks over it and reads to the end."""

    def __init__(self, http: aiohttp.ClientSession, stack: Stack, person: Person) -> None:
        self._http, self._url, self._person = http, stack.url(), person
        self._socket: aiohttp.ClientWebSocketResponse | None = None

    async def open(self) -> None:
        headers = {"Origin": self._url, "Cookie": f"sessionid={self._person.session}"}
        self._socket = await self._http.ws_connect(f"{self._url}/ws/", headers=headers, max_msg_size=0)
        await self._send(type="hello", v=1)
        await self._receive("hello")

    async def close(self) -> None:
        if self._socket is not None:
            await self._socket.close()

    async def read(self, question: str) -> Reading:
        reading = Reading(question, time.monotonic())
        await self._send(type="ask", id="a", key=str(uuid.uuid4()), text=question, model=MODEL)
        accepted = await self._receive("accepted")
        await self._send(type="watch", id="w", generation=accepted["generation"])
        owed, acknowledged_at = 0, time.monotonic()
        while True:
            frame = await self._receive("d", "settled", "snapshot")
            if frame["type"] == "settled":
                return reading
            self._show(reading, frame)
            owed += len(frame.get("d", ""))
            if owed > ACK_CHARACTERS or reading.arrivals[-1] - acknowledged_at > ACK_SECONDS:
                owed, acknowledged_at = 0, reading.arrivals[-1]
                await self._send(type="ack", g=frame["g"], s=frame["s"])

    def _show(self, reading: Reading, frame: dict) -> None:  # type: ignore[type-arg]
        reading.arrivals.append(time.monotonic())
        if frame["type"] == "snapshot":
            if frame["replace"]:
                reading.thinking = reading.answer = ""
            reading.thinking += frame["thinking"]
            reading.answer += frame["answer"]
        elif frame["k"] == "t":
            reading.thinking += frame["d"]
        else:
            reading.answer += frame["d"]

    async def _send(self, **fields: object) -> None:
        assert self._socket is not None
        await self._socket.send_str(json.dumps(fields))

    async def _receive(self, *kinds: str) -> dict:  # type: ignore[type-arg]
        assert self._socket is not None
        while True:
            frame: dict = json.loads(await asyncio.wait_for(self._socket.receive_str(), 120))  # type: ignore[type-arg]
            if frame["type"] in kinds:
                return frame
            assert frame["type"] not in {"error", "bye"}, frame
