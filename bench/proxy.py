"""The yardstick: a bare ASGI app that passes an engine's SSE bytes through with stock httpx, nothing else.

Served by Daphne on uvloop, like the site: `python -m bench.proxy ENGINE_URL KEY PORT`.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx

TIMEOUT_SECONDS = 120


class PassThrough:
    """Forwards the body of any POST to the engine and its answer back, byte by byte as it comes."""

    def __init__(self, engine: str, key: str) -> None:
        self.url, self.headers = f"{engine}/v1/chat/completions", {"authorization": f"Bearer {key}"}
        self.client: httpx.AsyncClient | None = None

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if self.client is None:
            limits = httpx.Limits(max_connections=None)
            self.client = httpx.AsyncClient(limits=limits, timeout=TIMEOUT_SECONDS, trust_env=False)
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {**self.headers, "content-type": "application/json"}
        async with self.client.stream("POST", self.url, content=body, headers=headers) as answer:
            start = {"type": "http.response.start", "status": answer.status_code}
            await send({**start, "headers": [(b"content-type", b"text/event-stream")]})
            async for piece in answer.aiter_raw():
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def main() -> None:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.server import Server

    engine, key, port = sys.argv[1:]
    Server(PassThrough(engine, key), endpoints=[f"tcp:port={port}:interface=127.0.0.1"], signal_handlers=True).run()


if __name__ == "__main__":
    main()
