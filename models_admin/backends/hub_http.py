"""Reading from a hub of models: at most so many bytes, in so much time, and only from where it may lead.

Hugging Face and its mirrors answer a file with a redirect to a delivery network, so redirects are followed, by hand;
`addresses.py` says where to.
"""

from __future__ import annotations

import asyncio
import http.client
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

from models_admin.backends.addresses import GuardedResolver, forbidden_behind, place_of, require_first, require_hop
from models_admin.backends.base import BackendError, ModelMissing, Overloaded, Unreachable, WrongKey
from models_admin.backends.hub import Part, Refused, Rules
from models_admin.backends.large_body import LargeBodies

MAX_REDIRECTS = 5
CONNECT_SECONDS = 10.0
# What was read and not handed out yet is lost where a connection is cut: up to two of these.
PIECE_BYTES = 128 * 1024
# No file has a length of more digits, and Python refuses to read numbers of thousands of them.
_LENGTH = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-[0-9]{1,18}/([0-9]{1,18}|\*)")
_ERRORS = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    aiohttp.ClientError,
    http.client.HTTPException,
    TimeoutError,
    OSError,
)


@asynccontextmanager
async def told_as_ours(seconds: float) -> AsyncIterator[asyncio.Timeout]:
    """Whatever is read within the block has so much time, or until the block says otherwise; it raises BackendError."""
    try:
        async with asyncio.timeout(seconds) as limit:
            yield limit
    except _ERRORS as error:
        if forbidden := forbidden_behind(error):
            raise Refused(str(forbidden)) from error
        if isinstance(error, TimeoutError):
            raise Unreachable(f"no answer within {seconds:g} seconds") from error
        cause = (error.__cause__ if isinstance(error, httpx.HTTPError) else None) or error
        if isinstance(cause, httpx.InvalidURL | aiohttp.InvalidURL):
            raise Refused(f"no address: {cause}") from error
        raise Unreachable(f"{type(cause).__name__}: {cause}") from error


async def read_whole(url: str, rules: Rules, *, most: int) -> bytes:
    """The body at an address. Raises Refused where it is longer than `most` bytes."""
    part = await _read(url, rules, {}, start=0, end=most + 1)
    if len(part.content) > most:
        raise Refused(f"the answer is longer than {most} bytes")
    return part.content


async def read_part(url: str, rules: Rules, *, start: int, end: int) -> Part:
    """Bytes from `start` up to `end`, or from the beginning where the server knows no ranges."""
    return await _read(url, rules, {"Range": f"bytes={start}-{end - 1}"}, start=start, end=end)


@asynccontextmanager
async def answering(
    url: str, rules: Rules, headers: Mapping[str, str], *, is_large: bool = False
) -> AsyncIterator[httpx.Response]:
    """The answer at the end of all redirects, not read yet. What `rules.headers` hold goes to the first server only.

    A large one is copied by threads, `large_body.EXTENSION` of it, but for behind a proxy.
    """
    first, trusted = _origin(url), {place_of(url), *rules.trusted}
    require_first(url)
    for _hop in range(MAX_REDIRECTS + 1):
        own = rules.headers if _origin(url) == first else {}
        client = _client(url, may_be_private=place_of(url) in trusted, is_large=is_large)
        asked = {"Accept-Encoding": "identity", **own, **headers}
        async with client, client.stream("GET", url, headers=asked) as response:
            if not response.is_redirect:
                yield response
                return
            target = _target(url, response)
        if rules.stays and _origin(target) != _origin(url):
            raise Refused(f"it leads to another host: {urlsplit(target).hostname}")
        require_hop(target, trusted=trusted)
        url = target
    raise Refused("it leads in a circle")


async def _read(url: str, rules: Rules, headers: dict[str, str], *, start: int, end: int) -> Part:
    async with answering(url, rules, headers) as response:
        return await _taken(response, start, end)


def _client(url: str, *, may_be_private: bool, is_large: bool) -> httpx.AsyncClient:
    """A client for one request. Behind a company's proxy, which the environment names, that one resolves names."""
    parts = urlsplit(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    if proxy:
        return httpx.AsyncClient(proxy=proxy, trust_env=False, timeout=timeout)

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(resolver=GuardedResolver(may_be_private=may_be_private))
        return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector, read_bufsize=PIECE_BYTES)

    transport: httpx.AsyncBaseTransport
    if is_large:
        transport = LargeBodies(may_be_private=may_be_private)
    else:
        transport = _InLargePieces(client=session, trust_env=False)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout)


class _InLargePieces(AiohttpTransport):
    """Hands out all that has come at once: pieces of 16 kB would cost as much processor time as hashing does."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await super().handle_async_request(request)
        stream: Any = response.stream
        stream.CHUNK_SIZE = PIECE_BYTES
        return response


def _target(url: str, response: httpx.Response) -> str:
    try:
        target = urljoin(url, str(response.headers.get("location", "")))
        _origin(target)
    except ValueError as error:
        raise Refused("it leads to something that is no address") from error
    return target


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port


def place_in_file(response: httpx.Response, start: int) -> tuple[int, int | None]:
    """Where its bytes begin, `start` or 0 where the server knows no ranges, and how many the file has, if it tells.

    Raises BackendError for an answer that is no part of a file.
    """
    if response.status_code not in {200, 206}:
        raise _error(response)
    return (0, _length(response)) if response.status_code == 200 else _range(response, start)


async def _taken(response: httpx.Response, start: int, end: int) -> Part:
    """At most the bytes asked for: what a server sends beyond them is not waited for."""
    begins, size = place_in_file(response, start)
    most = end - begins
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= most:
            break
    return Part(bytes(content[:most]), begins, size)


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if _LENGTH.fullmatch(length) else None


def _range(response: httpx.Response, start: int) -> tuple[int, int | None]:
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found[1]) != start:
        raise Refused("the server answers another range than was asked for")
    return start, None if found[2] == "*" else int(found[2])


def _error(response: httpx.Response) -> BackendError:
    # Without the query: delivery networks put their signatures there.
    status, url = response.status_code, f"{response.url.host}{response.url.path}"
    if status == 404:
        return ModelMissing(f"there is nothing at {url}")
    if status in {401, 403}:  # Hugging Face says 401 to a repository that is not there as well
        return WrongKey(f"{url} is not open to everybody")
    if status == 416:
        return Refused(f"{url} is shorter than its header says")
    if status == 429 or status >= 500:
        return Overloaded(f"HTTP {status} from {url}")
    return Refused(f"HTTP {status} from {url}")
