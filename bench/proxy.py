"""The yardstick: a bare ASGI pass-through on Daphne and uvloop, no database, no Redis.

ENGINE_URL=http://127.0.0.1:N TRANSPORT=httpx|aiohttp python -m bench.proxy -b 127.0.0.1 -p PORT
The transport is httpx's own, or aiohttp under httpx (the one of the site's drivers), which costs half.
"""

from __future__ import annotations

import asyncio
import functools
import os
import sys
from typing import Any

import httpx

TIMEOUT = httpx.Timeout(30, read=120)


@functools.cache
def _client() -> httpx.AsyncClient:
    if os.environ["TRANSPORT"] == "httpx":
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        return httpx.AsyncClient(base_url=os.environ["ENGINE_URL"], limits=limits)
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    connect = functools.partial(aiohttp.ClientSession, connector=aiohttp.TCPConnector(limit=0))
    return httpx.AsyncClient(base_url=os.environ["ENGINE_URL"], transport=AiohttpTransport(client=connect()))


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """Send the body on, pass what comes back chunk by chunk."""
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    headers = {name.decode(): value.decode() for name, value in scope["headers"] if name != b"host"}
    async with _client().stream("POST", scope["path"], content=body, headers=headers, timeout=TIMEOUT) as answer:
        start = [(b"content-type", answer.headers["content-type"].encode())]
        await send({"type": "http.response.start", "status": answer.status_code, "headers": start})
        async for chunk in answer.aiter_raw():
            await send({"type": "http.response.body", "body": chunk, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface

    CommandLineInterface().run([*sys.argv[1:], "bench.proxy:application"])


if __name__ == "__main__":
    main()
