"""Whether a server is ready and whether its port is free, by the plainest of means."""

from __future__ import annotations

import asyncio
import errno
import ipaddress
import socket
from collections.abc import Sequence
from enum import Enum

SECONDS = 5.0
_ANY = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # nosec B104 - where to reach it


class Health(Enum):
    NONE = "none"
    LOADING = "loading"
    READY = "ready"


async def ask(bind: str, port: int, paths: Sequence[str], key: str) -> Health:
    """The first of `paths` that the server knows decides. A server that loads answers 503, or not at all."""
    for path in paths:
        code = await _status(_ANY.get(bind, bind), port, path, key)
        if code == 200:
            return Health.READY
        if code != 404:
            return Health.NONE if code is None else Health.LOADING
    return Health.NONE


def obstacle(bind: str, port: int) -> str | None:
    """Why nobody can listen there: `port_taken` or `no_address`. None where one can."""
    family = socket.AF_INET6 if ipaddress.ip_address(bind).version == 6 else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        # Connections of an earlier server that are still being forgotten are in nobody's way.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, port))
        except OSError as error:
            return "port_taken" if error.errno == errno.EADDRINUSE else "no_address"
    return None


async def _status(host: str, port: int, path: str, key: str) -> int | None:
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(request.encode())
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, TimeoutError, ValueError):
        return None
    words = line.split()
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") and words[1].isdigit() else None
