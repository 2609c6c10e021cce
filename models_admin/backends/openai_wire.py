"""The OpenAI-compatible wire, as pure functions and structs: request bodies, event lines, usage.

Several drivers share these; none of them knows a client or an engine.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from models_admin.backends.base import BadRequest, BrokeOff, ChatMessage, ChatRequest, JsonFormat, Tool, Usage
from models_admin.backends.control_tokens import neutralise
from models_admin.backends.reading import whole

# An event of a real engine has 250 bytes; a line that never ends would eat the runner.
MAX_LINE_BYTES: Final = 1024 * 1024
# The longest real stretch without an event is a proxy's error page; an endless body would run for ever.
MAX_NOISE_BYTES: Final = 1024 * 1024


class WireFunction(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class WireToolCall(msgspec.Struct, gc=False):
    """A piece of a call; pieces with the same `index` belong together."""

    index: int = 0
    id: str | None = None
    function: WireFunction | None = None


class WireDelta(msgspec.Struct, gc=False):
    """`reasoning` is vLLM's and Ollama's name, `reasoning_content` that of the others."""

    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[WireToolCall] | None = None


class WireChoice(msgspec.Struct, gc=False):
    delta: WireDelta | None = None
    text: str | None = None  # of /v1/completions
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


def messages_body(messages: tuple[ChatMessage, ...], *, with_thinking: bool = False) -> list[dict[str, Any]]:
    """Turns for the wire. Thinking goes along in turns with tool calls only, and only where it is demanded."""
    return [_message(message, with_thinking=with_thinking) for message in messages]


def _message(message: ChatMessage, *, with_thinking: bool) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": neutralise(message.content)}
    if message.tool_calls:
        row["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in message.tool_calls
        ]
        if with_thinking:
            row["reasoning_content"] = neutralise(message.thinking)
    if message.tool_call_id:
        row["tool_call_id"] = message.tool_call_id
    return row


def chat_body(request: ChatRequest, *, with_thinking: bool = False) -> dict[str, Any]:
    """The body of a streamed chat request; fields that are None are left to the engine."""
    body = {
        **sampling_body(request),
        "messages": messages_body(request.messages, with_thinking=with_thinking),
        "tools": tools_body(request.tools) or None,
    }
    return {name: value for name, value in body.items() if value is not None}


def completion_body(request: ChatRequest, prompt: str | list[int]) -> dict[str, Any]:
    """The body of a streamed raw completion: the prompt is ready, the template's work is done."""
    return {**sampling_body(request), "prompt": prompt}


def sampling_body(request: ChatRequest) -> dict[str, Any]:
    body = {
        "model": request.model,
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": request.max_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": [neutralise(text) for text in request.stop] or None,
        "response_format": format_body(request.response_format),
    }
    return {name: value for name, value in body.items() if value is not None}


def format_body(wish: JsonFormat | None) -> dict[str, Any] | None:
    if wish is None:
        return None
    if not wish.schema:
        return {"type": "json_object"}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": read_schema(wish.schema)}}


def read_schema(text: str) -> Any:
    """A JSON schema from its text. Raises BadRequest."""
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, RecursionError, UnicodeError) as error:
        raise BadRequest("the schema is no JSON") from error


def tools_body(tools: tuple[Tool, ...]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": read_schema(tool.parameters),
            },
        }
        for tool in tools
    ]


class LineReader:
    """Cuts a byte stream at line ends and reads the events in it."""

    __slots__ = ("_noise", "_rest", "is_done")

    def __init__(self) -> None:
        self._rest = b""
        self._noise = 0  # bytes since the last event
        self.is_done = False

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that `chunk` completes. Raises BrokeOff on a line that is no event, or endless."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise BrokeOff(f"a line of more than {MAX_LINE_BYTES} bytes")
        self._noise += len(chunk)
        for line in lines:
            if line.startswith(b"data:"):
                self._noise = 0
                if line[5:].strip() == b"[DONE]":
                    self.is_done = True
                    return
                yield read_event(line[5:])
            elif line.startswith(b'{"error"'):  # a refusal in plain JSON, with 200
                yield read_event(line)
        if self._noise > MAX_NOISE_BYTES:
            raise BrokeOff(f"{self._noise} bytes without an event")


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
    # Some engines leave the thought out of their count (Ollama with a format): what came, came.
    counted = thinking_count + answer_count
    written = max(whole(usage.completion_tokens), counted)
    details = usage.completion_tokens_details
    told = whole(details.reasoning_tokens or 0) if details else 0
    if told and thinking_count:  # vLLM reports 0 in spite of thinking
        thinking = min(told, written)
    else:
        thinking = round(written * thinking_count / counted) if counted else 0
    cached = usage.prompt_tokens_details.cached_tokens if usage.prompt_tokens_details else None
    prompt = whole(usage.prompt_tokens)
    cached = min(prompt, whole(cached or usage.prompt_cache_hit_tokens or 0))
    return Usage(prompt, cached, thinking, written - thinking)
