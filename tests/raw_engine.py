"""An engine that plays bytes: what it says for each path is a list of bytes, pauses and ways to end, framing included.

For what no real server and no HTTP library would send. It runs on the loop of the test that plays it.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Pause:
    """Says nothing for so long, or until the client has left."""

    seconds: float = 3600.0


@dataclass(frozen=True)
class Again:
    """The same bytes over and over: `times`, or for as long as somebody reads."""

    content: bytes
    times: int = 1 << 40


class Reset:
    """Ends the connection with RST instead of FIN."""


RESET = Reset()
STALL = Pause()
Step = bytes | Pause | Again | Reset
Script = Sequence[Step]


@dataclass
class RawEngine:
    """`scripts` by path, `*` for every other one. `seen` are path, head and body of each request, oldest first."""

    scripts: Mapping[str, Script]
    url: str = ""
    seen: list[tuple[str, bytes, bytes]] = field(default_factory=list)

    @property
    def paths(self) -> list[str]:
        return [path for path, _, _ in self.seen]

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            path = await self._request(reader)
            for step in self.scripts.get(path) or self.scripts.get("*", (response(b"no script", status=501),)):
                if isinstance(step, Reset):
                    _reset(writer)
                    return
                await _play(step, reader, writer)
        writer.close()

    async def _request(self, reader: asyncio.StreamReader) -> str:
        head = await reader.readuntil(b"\r\n\r\n")
        fields = {name.lower(): value for name, _, value in (line.partition(b": ") for line in head.split(b"\r\n"))}
        body = await reader.readexactly(int(fields.get(b"content-length", 0)))
        path = head.split(b" ")[1].decode()
        self.seen.append((path, head, body))
        return path


@asynccontextmanager
async def raw_engine(scripts: Mapping[str, Script]) -> AsyncIterator[RawEngine]:
    """Plays `scripts` on a port of its own."""
    engine, playing = RawEngine(scripts), set[asyncio.Task[None]]()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(engine.answer(reader, writer))
        playing.add(task)
        task.add_done_callback(playing.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()
        for task in (*playing,):
            task.cancel()
        await asyncio.gather(*playing, return_exceptions=True)


def response(
    body: bytes, *, status: int = 200, kind: str = "application/json", headers: bytes = b"", length: int | None = None
) -> bytes:
    """A whole answer with its length, or with another `length` than it has."""
    size = len(body) if length is None else length
    return b"%sContent-Length: %d\r\nConnection: close\r\n%s\r\n%s" % (_top(status, kind), size, headers, body)


def opening(*, kind: str = "text/event-stream", chunked: bool = False, headers: bytes = b"") -> bytes:
    """The head of a stream: chunked, or ending with the connection."""
    framing = b"Transfer-Encoding: chunked\r\n" if chunked else b"Connection: close\r\n"
    return b"%s%s%s\r\n" % (_top(200, kind), framing, headers)


def chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


LAST_CHUNK = b"0\r\n\r\n"


def _top(status: int, kind: str) -> bytes:
    return f"HTTP/1.1 {status} Told\r\nContent-Type: {kind}\r\n".encode()


async def _play(step: bytes | Pause | Again, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    if isinstance(step, Pause):
        with suppress(TimeoutError):
            async with asyncio.timeout(step.seconds):
                await reader.read(1)  # nothing more is sent to us: what comes is the end
        return
    content, times = (step.content, step.times) if isinstance(step, Again) else (step, 1)
    for _ in range(times):
        writer.write(content)
        await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    plain: socket.socket = writer.get_extra_info("socket")
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
