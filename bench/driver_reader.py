"""One reader of an engine in a process of its own: prints the CPU that it needed and what arrived, as JSON.

python -m bench.driver_reader READER --wire openai|ollama --url URL --streams N --tokens N
READER is the kind of a driver, or `httpx` or `aiohttp`: the client by itself, each event read with `json`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager

import aiohttp
import httpx
import uvloop

from models_admin.backends.base import ChatMessage, ChatRequest, Delta, Endpoint
from models_admin.backends.drivers import open_driver
from tests import scripted_text
from tests.running_engines import KEY

MODEL = "scripted"
PATHS = {"openai": "/v1/chat/completions", "ollama": "/api/chat"}
HEADERS = {"Authorization": f"Bearer {KEY}"}
WARM_TOKENS = 5
Read = Callable[[str], Awaitable["Text"]]


class Text:
    """An answer as it arrives."""

    def __init__(self) -> None:
        self.thinking = self.answer = ""

    def take_line(self, line: str | bytes) -> None:
        """An event of either wire, or a line that is none."""
        start = line[:6]
        if start in ("data: ", b"data: "):
            line = line[6:]
        if line[:1] not in ("{", b"{"):
            return
        event = json.loads(line)
        delta: dict[str, str | None] = event.get("message") or next(
            (choice["delta"] for choice in event.get("choices", ())), {}
        )
        self.thinking += delta.get("reasoning_content") or delta.get("thinking") or ""
        self.answer += delta.get("content") or ""

    def is_whole(self, question: str) -> bool:
        script = scripted_text.read(question)
        return (self.thinking, self.answer) == (script.thinking_text, script.answer_text)


@asynccontextmanager
async def by_driver(kind: str, url: str) -> AsyncIterator[Read]:
    async with open_driver(Endpoint(url, KEY, kind)) as driver:

        async def read(question: str) -> Text:
            text = Text()
            request = ChatRequest(model=MODEL, messages=(ChatMessage("user", question),))
            async with aclosing(driver.chat(request)) as items:
                async for item in items:
                    if isinstance(item, Delta) and item.kind == "thinking":
                        text.thinking += item.text
                    elif isinstance(item, Delta):
                        text.answer += item.text
            return text

        yield read


@asynccontextmanager
async def by_httpx(wire: str, url: str) -> AsyncIterator[Read]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=url, limits=limits, headers=HEADERS, timeout=120, trust_env=False) as client:

        async def read(question: str) -> Text:
            text = Text()
            async with client.stream("POST", PATHS[wire], json=body(question)) as response:
                async for line in response.aiter_lines():
                    text.take_line(line)
            return text

        yield read


@asynccontextmanager
async def by_aiohttp(wire: str, url: str) -> AsyncIterator[Read]:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), headers=HEADERS) as client:

        async def read(question: str) -> Text:
            text = Text()
            async with client.post(url + PATHS[wire], json=body(question)) as response:
                async for line in response.content:
                    text.take_line(line)
            return text

        yield read


def body(question: str) -> dict[str, object]:
    return {"model": MODEL, "messages": [{"role": "user", "content": question}], "stream": True}


async def measure(options: argparse.Namespace) -> dict[str, float]:
    """CPU seconds of this process from the questions to the last text; tokens that arrived, seconds that passed."""
    opened = {"httpx": by_httpx, "aiohttp": by_aiohttp}.get(options.reader)
    async with opened(options.wire, options.url) if opened else by_driver(options.reader, options.url) as read:
        await asyncio.gather(*(read(f"say {WARM_TOKENS}+{WARM_TOKENS}") for _ in range(options.streams)))
        thinking = options.tokens // 5
        question = f"say {thinking}+{options.tokens - thinking}"
        cpu, began = time.process_time(), time.monotonic()
        texts = await asyncio.gather(*(read(question) for _ in range(options.streams)))
        cpu, passed = time.process_time() - cpu, time.monotonic() - began
    assert all(text.is_whole(question) for text in texts), f"{options.reader}: arrived is not what was sent"
    arrived = sum(len(text.thinking.split()) + len(text.answer.split()) for text in texts)
    assert arrived == options.tokens * options.streams
    return {"cpu_seconds": cpu, "seconds": passed, "arrived": arrived}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reader")
    parser.add_argument("--wire", choices=PATHS, required=True)
    parser.add_argument("--url", required=True)
    parser.add_argument("--streams", type=int, required=True)
    parser.add_argument("--tokens", type=int, required=True)
    print(json.dumps(uvloop.run(measure(parser.parse_args()))))


if __name__ == "__main__":
    main()
