"""Readers that count what arrives: over HTTP (engine or proxy) and over the site's sockets."""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from dataclasses import dataclass, field

import aiohttp

TOKEN = re.compile(r"t\d{4,}")
DEADLINE_SECONDS = 90


@dataclass
class Arrival:
    """What one stream saw: seconds to its first token, tokens, and the gaps between frames with tokens, s."""

    first: float = 0.0
    tokens: int = 0
    gaps: list[float] = field(default_factory=list)
    _last: float = 0.0

    def note(self, count: int, asked: float) -> None:
        now = time.perf_counter()
        if not self.tokens:
            self.first = now - asked
        else:
            self.gaps.append(now - self._last)
        self._last = now
        self.tokens += count


async def over_http(url: str, key: str, model: str, text: str) -> Arrival:
    """One stream of OpenAI's wire."""
    arrival, asked, rest = Arrival(), time.perf_counter(), ""
    body = {"model": model, "stream": True, "messages": [{"role": "user", "content": text}]}
    headers = {"Authorization": f"Bearer {key}"}
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.post(f"{url}/v1/chat/completions", json=body) as answer,
    ):
        async for piece in answer.content.iter_any():
            rest += piece.decode()
            whole, _, rest = rest.rpartition("\n")
            found = len(TOKEN.findall(whole))
            if found:
                arrival.note(found, asked)
    return arrival


async def over_socket(url: str, session: str, model: str, text: str, start: asyncio.Event) -> Arrival:
    """One question on a socket of its own, acknowledged as the page does."""
    arrival = Arrival()
    headers = {"Origin": url, "Cookie": f"sessionid={session}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.ws_connect(f"{url}/ws/") as socket:
        await socket.send_json({"type": "hello", "v": 1})
        await start.wait()
        asked, owed = time.perf_counter(), 0
        await socket.send_json({"type": "ask", "id": "1", "key": str(uuid.uuid4()), "text": text, "model": model})
        async for message in socket:
            frame = json.loads(message.data)
            if frame["type"] == "accepted":
                await socket.send_json({"type": "watch", "generation": frame["generation"]})
            elif frame["type"] == "d":
                arrival.note(len(TOKEN.findall(frame["d"])), asked)
                owed += len(frame["d"])
                if owed > 16_384:
                    await socket.send_json({"type": "ack", "g": frame["g"], "s": frame["s"]})
                    owed = 0
            elif frame["type"] == "settled":
                break
    return arrival
