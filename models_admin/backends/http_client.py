"""One HTTP client for one engine: explicit limits of time, and httpx's and aiohttp's errors as ours.

aiohttp under httpx's interface costs half of httpx's own transport per event; its wrong mapping of errors
(refused, unknown host and a death before the answer all arrive as ConnectTimeout) is mended here.
"""

from __future__ import annotations

import asyncio
import math
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager
from typing import Any, cast

import aiohttp
import httpx
import msgspec
from httpx_aiohttp import AiohttpTransport

from models_admin.backends.addresses import AddressForbidden, GuardedResolver, forbidden_behind, require_allowed
from models_admin.backends.base import BackendError, BadRequest, BrokeOff, Endpoint, Limits, Unreachable, WrongKey
from models_admin.backends.wire_errors import read_error

_TLS = ssl.create_default_context()  # reading the certificates takes 50 ms: once
_MAX_ERROR_BYTES = 64 * 1024
# vLLM's metrics have 62 kB, SGLang's settings 37; Ollama's list of a thousand models half a megabyte.
_MAX_ANSWER_BYTES = 8 * 1024 * 1024
# A key that was cut off with the text around it is recognised by so much of its beginning.
_KEY_PIECE = 8
_NOT_SET = math.inf
_TRANSPORT_ERRORS = (httpx.HTTPError, httpx.StreamError, aiohttp.ClientError, TimeoutError, OSError)


def base_of(url: str) -> str:
    """An engine's address without a trailing slash or `/v1`, however it was typed."""
    return url.strip().rstrip("/").removesuffix("/v1")


def _session() -> aiohttp.ClientSession:
    # limit 0: aiohttp's default of 100 connections would queue the 101st stream without a word.
    connector = aiohttp.TCPConnector(limit=0, ssl=_TLS, resolver=GuardedResolver())
    return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)


class EngineHttp:
    """The client of one endpoint on one event loop. `closes_streams`: ask for `Connection: close`."""

    def __init__(self, endpoint: Endpoint, *, closes_streams: bool = False) -> None:
        self.limits = endpoint.limits
        self._key = endpoint.key
        headers = {"Accept-Encoding": "identity"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {_sendable(endpoint.key)}"
        self._stream_headers = {"Content-Type": "application/json"}
        if closes_streams:
            self._stream_headers["Connection"] = "close"
        with self._told_as_ours():
            self._client = httpx.AsyncClient(
                base_url=base_of(endpoint.base_url),
                headers=headers,
                transport=AiohttpTransport(client=_session, verify=_TLS, trust_env=False),
                timeout=httpx.Timeout(None, connect=self.limits.connect),
                follow_redirects=False,
                trust_env=False,
            )
            require_allowed(self._client.base_url.host)

    async def ask(self, path: str, body: dict[str, Any] | None = None, *, seconds: float | None = None) -> Any:
        """JSON from a short question (POST with a body, else GET). Raises BackendError."""
        content = await self.ask_bytes(path, body, seconds=seconds)
        try:
            return msgspec.json.decode(content) if content else {}
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise self.without_key(BadRequest(f"{path} answered no JSON: {content[:80]!r}")) from error

    async def ask_fields(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Like `ask`, where anything but an object means that no engine of the kind answers there."""
        answer = await self.ask(path, body)
        if not isinstance(answer, dict):
            raise BadRequest(f"{path} answered no object")
        return answer

    async def ask_bytes(
        self, path: str, body: dict[str, Any] | None = None, *, seconds: float | None = None, method: str = ""
    ) -> bytes:
        """The bytes of a whole answer; `seconds` for all of it, by default the limit of a question."""
        with self._told_as_ours():
            request = self._client.build_request(
                method or ("GET" if body is None else "POST"),
                path,
                content=None if body is None else msgspec.json.encode(body),
                headers={"Connection": "close", "Content-Type": "application/json"},
            )
            async with asyncio.timeout(seconds or self.limits.question):
                response = await self._client.send(request, stream=True)
                try:
                    content = await _read(response, _MAX_ANSWER_BYTES)
                finally:
                    await response.aclose()
        if response.status_code != 200:
            raise self._error(response, content)
        if len(content) > _MAX_ANSWER_BYTES:
            raise BadRequest(f"{path} answered more than {_MAX_ANSWER_BYTES} bytes")
        return content

    def without_key(self, error: BackendError) -> BackendError:
        """An engine may write our key into its error; it goes no further, whole or cut off."""
        error.args = tuple(self._plain(arg) if isinstance(arg, str) else arg for arg in error.args)
        if error.__cause__ is not None and self._is_told_in(error.__cause__):
            error.__cause__ = None  # a log writes the chain of causes out
        return error

    @asynccontextmanager
    async def stream(self, path: str, body: dict[str, Any]) -> AsyncIterator[ChunkStream]:
        """POST `body` and hold the answer open; leaving the block closes the connection."""
        begins_by = asyncio.get_running_loop().time() + self.limits.first_token
        with self._told_as_ours():
            request = self._client.build_request(
                "POST", path, content=msgspec.json.encode(body), headers=self._stream_headers
            )
            async with asyncio.timeout_at(begins_by):
                response = await self._client.send(request, stream=True)
        try:
            if response.status_code != 200:
                raise await self._refusal(response)
            if response.headers.get("content-encoding", "identity") != "identity":
                raise BadRequest("the answer is compressed, which nobody asked for")
            async with aclosing(cast(AsyncGenerator[bytes, None], response.aiter_raw())) as chunks:
                stream = ChunkStream(chunks, self.limits, begins_by)
                try:
                    yield stream
                except BackendError as error:
                    self.without_key(error)
                    raise
                finally:
                    stream.close()
        finally:
            await response.aclose()

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _refusal(self, response: httpx.Response) -> BackendError:
        with self._told_as_ours():
            async with asyncio.timeout(self.limits.question):
                content = await _read(response, _MAX_ERROR_BYTES)
        return self._error(response, content)

    def _error(self, response: httpx.Response, content: bytes) -> BackendError:
        return self.without_key(
            read_error(response.status_code, content, retry_after=response.headers.get("retry-after"))
        )

    @contextmanager
    def _told_as_ours(self) -> Iterator[None]:
        try:
            yield
        except (httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            raise BadRequest(f"not an address: {error}") from error
        except AddressForbidden as error:
            raise BadRequest(str(error)) from error
        except _TRANSPORT_ERRORS as error:
            # aiohttp quotes the header that it cannot read.
            raise self.without_key(_as_ours(error)) from (None if self._is_told_in(error) else error)

    def _is_told_in(self, error: BaseException) -> bool:
        return bool(self._key) and self._plain(str(error)) != str(error)

    def _plain(self, text: str) -> str:
        if self._key:
            for end in range(len(self._key), min(len(self._key), _KEY_PIECE) - 1, -1):
                text = text.replace(self._key[:end], "[key]")
        return text


async def _read(response: httpx.Response, limit: int) -> bytes:
    """The body as it is on the wire, up to a chunk more than `limit` bytes: nothing is unpacked for anybody."""
    content = bytearray()
    async for chunk in response.aiter_raw():
        content += chunk
        if len(content) > limit:
            break
    return bytes(content)


class ChunkStream:
    """Bytes as they come. Silence is measured from the last token, not from the last byte:
    llama.cpp pings every 30 s whatever its model does.

    One timer per stream: a timeout around every read costs 4 µs per token.
    """

    __slots__ = (
        "_chunks",
        "_deadline",
        "_is_silent",
        "_loop",
        "_timer",
        "_waiting",
        "_watch_seconds",
        "has_begun",
        "silence",
    )

    def __init__(self, chunks: AsyncGenerator[bytes, None], limits: Limits, begins_by: float) -> None:
        """`begins_by`: the loop's time at which the first token is due."""
        self._chunks = chunks
        self._loop = asyncio.get_running_loop()
        self.silence = limits.silence
        self._deadline = begins_by
        self._watch_seconds = min(limits.first_token, limits.silence) / 4
        self._timer = self._loop.call_later(self._watch_seconds, self._watch)
        self._waiting: asyncio.Task[Any] | None = None
        self._is_silent = False
        self.has_begun = False

    def note_token(self) -> None:
        self.has_begun = True
        self._deadline = _NOT_SET

    async def next(self) -> bytes | None:
        """The next bytes; None at the end. Raises BrokeOff, or Unreachable before the first token."""
        self._waiting = asyncio.current_task()
        if self._deadline == _NOT_SET:  # from now: a reader may have taken its time in between
            self._deadline = self._loop.time() + self.silence
        try:
            return await self._chunks.__anext__()
        except StopAsyncIteration:
            return None
        except asyncio.CancelledError:
            if not self._is_silent or self._waiting is None or self._waiting.uncancel() > 0:
                raise
            raise _as_ours(TimeoutError("no token for too long"), has_begun=self.has_begun) from None
        except _TRANSPORT_ERRORS as error:
            raise _as_ours(error, has_begun=self.has_begun) from error
        finally:
            self._waiting = None

    def close(self) -> None:
        self._timer.cancel()

    def _watch(self) -> None:
        if self._waiting is not None and self._loop.time() >= self._deadline:
            self._is_silent = True
            self._waiting.cancel()
        else:
            self._timer = self._loop.call_later(self._watch_seconds, self._watch)


def _sendable(key: str) -> str:
    """Raises WrongKey for what no header can carry: pasted line ends, invisible and wide characters."""
    if not (key.isascii() and key.isprintable()):
        raise WrongKey("the key has characters that cannot be sent")
    return key


def _as_ours(error: Exception, *, has_begun: bool = False) -> BackendError:
    cause = (error.__cause__ if isinstance(error, httpx.HTTPError) else None) or error
    if forbidden := forbidden_behind(cause):
        return BadRequest(str(forbidden))
    text = f"{type(cause).__name__}: {cause}"
    return BrokeOff(text) if has_begun else Unreachable(text)
