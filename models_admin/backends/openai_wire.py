"""The OpenAI-compatible wire, as pure functions: request body, event lines, error bodies, usage.

Every driver shares these; none of them knows a client or an engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from models_admin.backends.base import (
    BackendError,
    BadRequest,
    BrokeOff,
    ChatMessage,
    ChatRequest,
    ContextTooLong,
    ModelMissing,
    Overloaded,
    Unreachable,
    Usage,
    WrongKey,
)

# An event of a real engine has 250 bytes; a line that never ends would eat the runner.
MAX_LINE_BYTES: Final = 1024 * 1024

# Control tokens of the model families in use; an engine reads them wherever they stand in the text.
_CONTROL = re.compile(
    r"<(?=[|｜][^<>]*[|｜]>"
    r"|/?(?:think|s|bos|eos|pad|unk|mask|tool_call|tool_response|start_of_turn|end_of_turn)>)"
)
_ZERO_WIDTH_SPACE: Final = "\u200b"
_LIMIT = re.compile(r"context (?:length|size|window)\D{0,12}(\d+)", re.IGNORECASE)
_TOKENS = re.compile(r"(\d+)(?: input| prompt)?[ -]tokens?\b", re.IGNORECASE)
_MODEL_GONE = re.compile(r"model\b.*(?:not exist|not found|not served|unknown)", re.IGNORECASE | re.DOTALL)


class WireDelta(msgspec.Struct, gc=False):
    """`reasoning` is vLLM's and Ollama's name, `reasoning_content` that of the others."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None


class WireChoice(msgspec.Struct, gc=False):
    delta: WireDelta | None = None
    finish_reason: str | None = None


class CachedTokens(msgspec.Struct, gc=False):
    cached_tokens: int | None = None


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct, gc=False):
    prompt_tokens: int = 0
    completion_tokens: int = 0
    prompt_tokens_details: CachedTokens | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: int | None = None


class Timings(msgspec.Struct, gc=False):
    """llama.cpp's own clock, milliseconds."""

    prompt_ms: float = 0
    predicted_ms: float = 0


class Event(msgspec.Struct, gc=False):
    choices: list[WireChoice] = []
    usage: WireUsage | None = None
    timings: Timings | None = None
    error: Any = None  # an object, or SGLang's and vLLM's bare string


_decode_event = msgspec.json.Decoder(Event).decode


def neutralise(text: str) -> str:
    """Text in which no control token is left and which every engine can read.

    A zero-width space behind `<` keeps the look; NUL and lone surrogates become U+FFFD.
    """
    clean = text.replace("\0", "\ufffd") if "\0" in text else text
    if not clean.isascii():
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROL.sub("<" + _ZERO_WIDTH_SPACE, clean) if "<" in clean else clean


def messages_body(messages: tuple[ChatMessage, ...]) -> list[dict[str, str]]:
    return [{"role": message.role, "content": neutralise(message.content)} for message in messages]


def chat_body(request: ChatRequest) -> dict[str, Any]:
    """The body of a streamed chat request; fields that are None are left to the engine."""
    body: dict[str, Any] = {
        "model": request.model,
        "messages": messages_body(request.messages),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": [neutralise(text) for text in request.stop] or None,
        "response_format": request.response_format,
    }
    return {name: value for name, value in body.items() if value is not None}


class LineReader:
    """Cuts a byte stream at line ends and reads the events in it."""

    __slots__ = ("_rest", "is_done")

    def __init__(self) -> None:
        self._rest = b""
        self.is_done = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that `chunk` completes. Raises BrokeOff on a line that is no event, or endless."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise BrokeOff(f"a line of more than {MAX_LINE_BYTES} bytes")
        for line in lines:
            if line.startswith(b"data:"):
                if line[5:].strip() == b"[DONE]":
                    self.is_done = True
                    return
                yield read_event(line[5:])


def read_event(payload: bytes) -> Event:
    # Bad UTF-8 and deep nesting leave msgspec as UnicodeDecodeError and RecursionError.
    try:
        return _decode_event(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokeOff(f"not an event ({type(error).__name__}): {payload[:80]!r}") from error


def read_usage(usage: WireUsage | None, *, thinking_count: int, answer_count: int) -> Usage:
    """The engine's totals, split by its own figure if it gives one, else in the ratio of our counts."""
    if usage is None:
        return Usage(0, 0, thinking_count, answer_count)
    written = usage.completion_tokens
    counted = thinking_count + answer_count
    details = usage.completion_tokens_details
    told = details.reasoning_tokens if details else None
    if told and thinking_count:  # vLLM reports 0 in spite of thinking
        thinking = min(told, written)
    else:
        thinking = round(written * thinking_count / counted) if counted else 0
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    return Usage(usage.prompt_tokens, cached or usage.prompt_cache_hit_tokens or 0, thinking, written - thinking)


def read_error(status: int, body: bytes, *, retry_after: str | None = None) -> BackendError:
    """The error behind an HTTP status and any of the bodies in use: nested, flat, a bare string, not JSON."""
    fields = error_fields(body)
    message = _text(fields.get("message")) or body[:200].decode("utf-8", "replace")
    if status in (401, 403):
        return WrongKey(message)
    if status in (429, 503):
        return Overloaded(message, retry_after=_seconds(retry_after))
    if status in (404, 400, 413, 422):
        return _refusal(status, message, fields)
    return Unreachable(f"HTTP {status}: {message}") if status >= 500 else BadRequest(f"HTTP {status}: {message}")


def read_stream_error(error: object) -> BackendError:
    """The error inside an event of a stream that began with 200; `code` is the status it would have had."""
    code = error.get("code") if isinstance(error, dict) else None
    status = int(code) if isinstance(code, int | str) and str(code).isdecimal() else 500
    return read_error(status, msgspec.json.encode({"error": error}))


def error_fields(body: bytes) -> dict[str, Any]:
    """`{"error": {…}}`, `{"error": "…"}`, `{"message": …}` or anything else, as one flat dict."""
    try:
        value = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return {}
    inner = value.get("error", value) if isinstance(value, dict) else value
    return inner if isinstance(inner, dict) else {"message": inner}


def _refusal(status: int, message: str, fields: dict[str, Any]) -> BackendError:
    kind = _text(fields.get("type"))
    if kind == "exceed_context_size_error" or _is_about_length(message):
        limit, asked = fields.get("n_ctx"), fields.get("n_prompt_tokens")  # llama.cpp; the others only write a sentence
        if limit is None and (told := _LIMIT.search(message)):
            limit = int(told[1])
            asked = max((int(n) for n in _TOKENS.findall(message) if int(n) != limit), default=None)
        return ContextTooLong(message, limit=limit, asked=asked)
    if status == 404 and (_MODEL_GONE.search(message) or "model" in _text(fields.get("code"))):
        return ModelMissing(message)
    return BadRequest(message)


def _is_about_length(message: str) -> bool:
    lower = message.lower()
    return "context" in lower and any(word in lower for word in ("length", "size", "window"))


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _seconds(header: str | None) -> float | None:
    try:
        return max(0.0, float(header)) if header else None
    except ValueError:  # an HTTP date: no engine sends one
        return None
