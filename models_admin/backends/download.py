"""The first bytes of model files over HTTP: enough to know a model before it is loaded.

Byte ranges grow until a GGUF header is whole. A server that knows no ranges is cut off once it has sent enough.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Set
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx
import msgspec

from models_admin import gguf
from models_admin.backends.base import BackendError, BadRequest, ModelMissing, Overloaded, Unreachable, WrongKey
from models_admin.backends.download_address import client_for, forbidden_behind, place_of, require_first, require_hop

DEADLINE_SECONDS = 60.0
MAX_REDIRECTS = 5
# The index of R1's 91,991 tensors has 9 MB.
MAX_JSON_BYTES = 32 * 1024 * 1024
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header
_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_ERRORS = (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, aiohttp.ClientError, TimeoutError, OSError)


class Refused(BadRequest):
    """The address, a redirect or the answer is not one that may be trusted."""

    code = "download_refused"


@dataclass(frozen=True)
class Rules:
    """`trusted` are further places (`host:port`) to which a redirect may lead though they are private."""

    trusted: Set[str] = field(default_factory=frozenset)
    seconds: float = DEADLINE_SECONDS


@dataclass(frozen=True)
class Repository:
    """config.json and the index of a repository in safetensors format."""

    config: dict[str, Any]
    index: dict[str, Any]


async def read_header(url: str, rules: Rules | None = None) -> gguf.Header:
    """The header of a GGUF file at an address. Raises BackendError, or GgufError for what is read."""
    async with _told_as_ours(rules or Rules()) as rules:
        data, size, wanted = b"", None, gguf.FIRST_BYTES
        while True:
            part = await _part(url, len(data), wanted, rules)
            data = data + part.content if part.start else part.content
            size = part.file_bytes if part.file_bytes is not None else size
            try:
                return gguf.parse(data, file_bytes=size)
            except gguf.Truncated as error:
                if len(data) < wanted or (size is not None and error.needs > size):
                    raise
                wanted = min(max(error.needs, gguf.GROWTH * wanted), gguf.HEADER_LIMIT)


async def read_repository(url: str, rules: Rules | None = None) -> Repository:
    """The two files of a folder at an address; of a model in one file its length is the index. Raises BackendError."""
    async with _told_as_ours(rules or Rules()) as rules:
        config = await _json(f"{url}/config.json", rules)
        try:
            index = await _json(f"{url}/model.safetensors.index.json", rules)
        except ModelMissing:
            index = {"metadata": {"total_size": await _safetensors_bytes(f"{url}/model.safetensors", rules)}}
        return Repository(config, index)


@dataclass(frozen=True)
class _Part:
    """Bytes of a file from `start` on; `file_bytes` None = the server does not tell."""

    content: bytes
    start: int
    file_bytes: int | None


async def _safetensors_bytes(url: str, rules: Rules) -> int:
    part = await _part(url, 0, LENGTH_BYTES, rules)
    length = int.from_bytes(part.content, "little")
    if part.file_bytes is None or len(part.content) < LENGTH_BYTES or length >= part.file_bytes:
        raise Refused("the server does not tell how long the file is")
    return part.file_bytes - LENGTH_BYTES - length


async def _json(url: str, rules: Rules) -> dict[str, Any]:
    part = await _part(url, 0, MAX_JSON_BYTES, rules)
    if len(part.content) >= MAX_JSON_BYTES:
        raise Refused(f"{url} is longer than {MAX_JSON_BYTES} bytes")
    try:
        found = msgspec.json.decode(part.content)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"{url} is no JSON") from error
    if not isinstance(found, dict):
        raise Refused(f"{url} holds no object")
    return found


async def _part(url: str, start: int, end: int, rules: Rules) -> _Part:
    """Bytes from `start` up to `end`, or from the beginning where the server knows no ranges."""
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={start}-{end - 1}"}
    trusted = {place_of(url), *rules.trusted}
    require_first(url)
    for _hop in range(MAX_REDIRECTS + 1):
        async with client_for(url, trusted=trusted) as client, client.stream("GET", url, headers=headers) as response:
            if not response.is_redirect:
                return await _taken(response, start, end)
            url = _target(url, response)
            require_hop(url, trusted=trusted)
    raise Refused("it leads in a circle")


def _target(url: str, response: httpx.Response) -> str:
    try:
        return urljoin(url, str(response.headers.get("location", "")))
    except ValueError as error:
        raise Refused("it leads to something that is no address") from error


async def _taken(response: httpx.Response, start: int, end: int) -> _Part:
    """At most the bytes asked for: what a server sends beyond them is not waited for."""
    if response.status_code not in {200, 206}:
        raise _error(response)
    begins, size = (0, _length(response)) if response.status_code == 200 else _range(response, start)
    most = end - begins
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) >= most:
            break
    return _Part(bytes(content[:most]), begins, size)


def _length(response: httpx.Response) -> int | None:
    length = response.headers.get("content-length", "")
    return int(length) if length.isdecimal() else None


def _range(response: httpx.Response, start: int) -> tuple[int, int | None]:
    found = _RANGE.fullmatch(response.headers.get("content-range", ""))
    if found is None or int(found[1]) != start:
        raise Refused("the server answers another range than was asked for")
    return start, None if found[3] == "*" else int(found[3])


def _error(response: httpx.Response) -> BackendError:
    # Without the query: delivery networks put their signatures there.
    status, url = response.status_code, f"{response.url.host}{response.url.path}"
    if status == 404:
        return ModelMissing(f"there is nothing at {url}")
    if status in {401, 403}:
        return WrongKey(f"{url} is not open to everybody")
    if status == 416:
        return Refused(f"{url} is shorter than its header says")
    if status == 429 or status >= 500:
        return Overloaded(f"HTTP {status} from {url}")
    return Refused(f"HTTP {status} from {url}")


@asynccontextmanager
async def _told_as_ours(rules: Rules) -> AsyncIterator[Rules]:
    try:
        async with asyncio.timeout(rules.seconds):
            yield rules
    except _ERRORS as error:
        if forbidden := forbidden_behind(error):
            raise Refused(str(forbidden)) from error
        if isinstance(error, TimeoutError):
            raise Unreachable(f"no answer within {rules.seconds:g} seconds") from error
        cause = (error.__cause__ if isinstance(error, httpx.HTTPError) else None) or error
        if isinstance(cause, httpx.InvalidURL | aiohttp.InvalidURL):
            raise Refused(f"no address: {cause}") from error
        raise Unreachable(f"{type(cause).__name__}: {cause}") from error
