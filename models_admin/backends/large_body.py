"""A transport of httpx for large files: a thread reads the body into two blocks, over the standard library's client.

aiohttp makes an object of every piece and wakes the loop for each, which costs more than hashing does. Here names are
resolved, guarded and connected to on the loop; TLS, question and body belong to a thread. `EXTENSION` of the response
is the body, to be copied.
"""

from __future__ import annotations

import asyncio
import functools
import http.client
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import cycle
from typing import Any

import httpx
from aiohttp.abc import ResolveResult

from models_admin.backends.addresses import PORTS, GuardedResolver
from models_admin.backends.base import BackendError, BrokeOff

EXTENSION = "large_body"
BLOCK_BYTES = 1024 * 1024
MOST_FILL_SECONDS = 1.0
CONNECT_SECONDS = 10.0
Take = Callable[[memoryview], object]  # raises BackendError


class LargeBodies(httpx.AsyncBaseTransport):
    """For one request, without a proxy."""

    def __init__(self, *, may_be_private: bool) -> None:
        self._resolver = GuardedResolver(may_be_private=may_be_private)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = LargeBody(await self._connected(request.url), request)
        try:
            return await body.ask()
        except BaseException:
            await body.aclose()
            raise

    async def _connected(self, url: httpx.URL) -> socket.socket:
        """To the first of the name's addresses that answers."""
        try:
            found = await self._resolver.resolve(url.raw_host.decode(), url.port or PORTS[url.scheme])
        except UnicodeError as error:
            raise httpx.InvalidURL(f"{url.host!r} is no name of a server") from error
        failed: OSError = ConnectionError(f"{url.host} has no address")
        for place in found:
            try:
                async with asyncio.timeout(CONNECT_SECONDS / len(found)):
                    return await _dialled(place)
            except OSError as error:
                failed = error
        raise failed

    async def aclose(self) -> None:
        await self._resolver.close()


async def _dialled(place: ResolveResult) -> socket.socket:
    line = socket.socket(place["family"], socket.SOCK_STREAM)
    try:
        line.setblocking(False)
        await asyncio.get_running_loop().sock_connect(line, (place["host"], place["port"]))
        line.setblocking(True)
    except BaseException:
        line.close()
        raise
    return line


class LargeBody(httpx.AsyncByteStream):
    """The answer to one question. Whoever gives up waiting for its threads cuts the connection, which ends them."""

    def __init__(self, line: socket.socket, request: httpx.Request) -> None:
        self._line, self._request = line, request
        self._broken: Exception | None = None
        self._answer: http.client.HTTPResponse
        self._reader: Any = None
        self._left: int | None = None  # None: to the end of the connection, or of its chunks
        if request.url.scheme == "https":
            host = request.url.raw_host.decode()
            self._line = _trust().wrap_socket(line, server_hostname=host, do_handshake_on_connect=False)

    async def ask(self) -> httpx.Response:
        """The status and headers. Raises OSError and HTTPException."""
        await self._in_thread(self._ask)
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in self._answer.getheaders()]
        return httpx.Response(self._answer.status, headers=headers, stream=self, extensions={EXTENSION: self})

    async def copy(self, write: Take, count: Take, came: Callable[[int], None]) -> None:
        """All of it: each block is given to `write`, then in another thread to `count`; `came` hears its length.

        Every block that was written has been counted when this ends, however it ends. Raises what `write` raises,
        OSError, HTTPException, and BrokeOff where bytes are missing.
        """
        loop = asyncio.get_running_loop()

        def write_and_tell(block: memoryview) -> None:
            write(block)
            loop.call_soon_threadsafe(came, len(block))

        await self._in_thread(self._pour, write_and_tell, count)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        raise NotImplementedError("a large body is copied")
        yield b""

    async def aclose(self) -> None:
        if self._reader is not None:
            self._answer.close()
        self._line.close()

    async def _in_thread(self, work: Callable[..., None], *args: Any) -> None:
        """A thread of its own: pulls of hours must not fill the loop's pool."""
        pool = ThreadPoolExecutor(1, "pull")
        working = asyncio.get_running_loop().run_in_executor(pool, work, *args)
        try:
            await asyncio.wait([working])
        finally:
            if not working.done():
                _cut(self._line)
                await asyncio.wait([working])
                working.exception()
            pool.shutdown(wait=False)
        working.result()

    def _ask(self) -> None:
        if isinstance(self._line, ssl.SSLSocket):
            self._line.do_handshake()
        client = http.client.HTTPConnection(self._request.url.host, 80)  # the line is there already
        client.sock = self._line
        client.request("GET", self._request.url.raw_path.decode(), headers=dict(self._request.headers))
        self._answer = client.getresponse()
        self._reader, self._left = self._answer.fp, self._answer.length

    def _pour(self, write: Take, count: Take) -> None:
        """One block is counted while the other is filled and written."""
        with ThreadPoolExecutor(1, "pull-count") as counter:
            counting = counter.submit(count, memoryview(b""))
            for block in cycle([memoryview(bytearray(BLOCK_BYTES)) for _ in range(2)]):
                if not (filled := self._fill(block)):
                    break
                write(block[:filled])
                counting.result()
                counting = counter.submit(count, block[:filled])
            counting.result()
        if self._broken is not None:
            raise self._broken

    def _fill(self, block: memoryview) -> int:
        """How many bytes came until it is full, some time is over or nothing more comes; then `_broken` says why."""
        count, until = 0, time.monotonic() + MOST_FILL_SECONDS
        while self._broken is None and count < len(block) and time.monotonic() < until:
            try:
                some = self._read(block[count:])
            except (OSError, http.client.HTTPException, BackendError) as error:
                self._broken = error
                break
            if not some:
                break
            count += some
        return count

    def _read(self, room: memoryview) -> int:
        """What is there, at most what there is room for; 0 at the end."""
        if self._answer.chunked:
            some = self._answer.read1(len(room))
            room[: len(some)] = some
            return len(some)
        count: int = self._reader.readinto1(room if self._left is None else room[: self._left])
        if self._left is not None:
            if self._left and not count:
                raise BrokeOff("the connection was cut before the end of the file")
            self._left -= count
        return count


def _cut(line: socket.socket) -> None:
    """Wakes a thread that waits for it. Not TLS's own farewell, which would wait for the other side."""
    with suppress(OSError):  # the other side was first
        socket.socket.shutdown(line, socket.SHUT_RDWR)


@functools.cache
def _trust() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
