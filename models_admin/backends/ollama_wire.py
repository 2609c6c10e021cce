"""Ollama's native wire, as pure functions and structs: one JSON object a line, errors also inside a 200."""

from __future__ import annotations

from typing import Any

import msgspec

from models_admin.backends.answer import Answer
from models_admin.backends.base import (
    BackendError,
    BadRequest,
    BrokeOff,
    ChatMessage,
    ChatRequest,
    ContextTooLong,
    JsonFormat,
    Prefix,
    Unreachable,
    Usage,
)
from models_admin.backends.control_tokens import neutralise
from models_admin.backends.openai_wire import (
    MAX_LINE_BYTES,
    MAX_NOISE_BYTES,
    WireUsage,
    read_schema,
    read_usage,
    tools_body,
)
from models_admin.backends.reading import fields_of, text, whole
from models_admin.backends.thought import tail_of
from models_admin.backends.wire_errors import read_error

_NANOSECONDS_A_MS = 1_000_000


class WireMessage(msgspec.Struct, gc=False):
    content: str | None = None
    thinking: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Line(msgspec.Struct, gc=False):
    """A line of a chat (`message`) or of a generation (`response`, `thinking`); zero counts are left out."""

    message: WireMessage | None = None
    response: str | None = None
    thinking: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int = 0
    prompt_eval_duration: int = 0
    eval_count: int = 0
    eval_duration: int = 0
    error: str | None = None


class PullLine(msgspec.Struct, gc=False):
    status: str = ""
    digest: str = ""
    total: int = 0
    completed: int = 0
    error: str | None = None


_decode_line = msgspec.json.Decoder(Line).decode
_decode_pull = msgspec.json.Decoder(PullLine).decode


class LineCutter:
    """Cuts a byte stream at line ends; empty lines are left out. Raises BrokeOff on an endless line, or no line."""

    __slots__ = ("_noise", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._noise = 0  # bytes since the last line that holds anything

    def feed(self, chunk: bytes) -> list[bytes]:
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > MAX_LINE_BYTES:
            raise BrokeOff(f"a line of more than {MAX_LINE_BYTES} bytes")
        found = [line for line in lines if line.strip()]
        self._noise = 0 if found else self._noise + len(chunk)
        if self._noise > MAX_NOISE_BYTES:
            raise BrokeOff(f"{self._noise} bytes without a line")
        return found


class NdjsonReader:
    """The lines of one answer."""

    __slots__ = ("_calls", "_lines", "_usage", "answer", "is_done")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.is_done = False
        self._lines = LineCutter()
        self._calls = 0
        self._usage: WireUsage | None = None

    def feed(self, chunk: bytes) -> BackendError | None:
        try:
            for payload in self._lines.feed(chunk):
                line = read_line(payload)
                if line.error is not None:
                    return line_error(line.error)
                self._read(line)
                if line.done:
                    self.is_done = True
                    return None
        except BrokeOff as error:
            return error
        return None

    def usage(self) -> Usage:
        thinking, answer = self.answer.counts()
        return read_usage(self._usage, thinking_count=thinking, answer_count=answer)

    def _read(self, line: Line) -> None:
        message = line.message
        thinking = message.thinking if message else line.thinking
        content = message.content if message else line.response
        if thinking:
            self.answer.add_thinking(thinking)
        if content:
            self.answer.add_content(content)
        for call in (message and message.tool_calls) or ():
            self._read_call(call)
        if line.done:
            self.answer.ending = line.done_reason or "stop"
            self.answer.prefill_ms = whole(line.prompt_eval_duration // _NANOSECONDS_A_MS)
            self.answer.decode_ms = whole(line.eval_duration // _NANOSECONDS_A_MS)
            self._usage = WireUsage(line.prompt_eval_count, line.eval_count)

    def _read_call(self, call: dict[str, Any]) -> None:
        function = fields_of(call.get("function"))
        if function:  # whole in one line, its arguments as an object; a further call may come in another line
            arguments = msgspec.json.encode(function.get("arguments", {})).decode()
            self.answer.add_tool_call(self._calls, text(call.get("id")), text(function.get("name")), arguments)
            self._calls += 1


def read_line(payload: bytes) -> Line:
    try:
        return _decode_line(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokeOff(f"not a line of an answer ({type(error).__name__}): {payload[:80]!r}") from error


def read_pull_line(payload: bytes) -> PullLine:
    """Raises BackendError for a line that tells a failure, inside a 200."""
    try:
        line = _decode_pull(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BrokeOff(f"not a line of a pull: {payload[:80]!r}") from error
    if line.error is not None:
        # A missing manifest reads `pull model manifest: file does not exist`.
        is_missing = "file does not exist" in line.error
        raise read_error(404 if is_missing else 500, msgspec.json.encode({"error": f"model not found: {line.error}"}))
    return line


def line_error(message: str) -> BackendError:
    """The error of a line: it has no status, so its text has to tell."""
    return refine(read_error(500, msgspec.json.encode({"error": message})), None)


def refine(error: BackendError, context_tokens: int | None) -> BackendError:
    """What Ollama means: a wrong option comes as 500, a prompt too long without the figure."""
    if isinstance(error, ContextTooLong) and error.limit is None:
        return ContextTooLong(str(error), limit=context_tokens)
    if isinstance(error, Unreachable) and "must be of type" in str(error):
        return BadRequest(str(error))
    return error


def chat_body(request: ChatRequest, *, thinks: bool | None) -> dict[str, Any]:
    """The body of `/api/chat`. `think` is sent only to a model that can: any other answers 400."""
    return _body(request) | {
        "messages": [_message(message) for message in request.messages],
        **({"think": think_body(request)} if thinks else {}),
        **({"tools": tools_body(request.tools)} if request.tools else {}),
    }


def raw_body(request: ChatRequest, prompt: str) -> dict[str, Any]:
    """The body of `/api/generate` with a prompt that is ready."""
    return _body(request) | {"prompt": prompt, "raw": True}


def r1_prompt(messages: tuple[ChatMessage, ...], prefix: Prefix) -> str:
    """The prompt as DeepSeek-R1's template writes it (distills and R1), and what was written already.

    Only the last system text counts there, and it comes first. BOS is put by Ollama.
    """
    system = next((m.content for m in reversed(messages) if m.role == "system"), "")
    parts = [neutralise(system)]
    for message in messages:
        if message.role == "user":
            parts.append(f"<｜User｜>{neutralise(message.content)}")
        elif message.role == "assistant":
            parts.append(f"<｜Assistant｜>{neutralise(message.content)}<｜end▁of▁sentence｜>")
    return "".join(parts) + "<｜Assistant｜><think>\n" + tail_of(prefix, is_open=True)


def think_body(request: ChatRequest) -> bool | str:
    return False if request.think == "off" else request.effort or True


def format_body(wish: JsonFormat) -> Any:
    return read_schema(wish.schema) if wish.schema else "json"


def _body(request: ChatRequest) -> dict[str, Any]:
    options = {
        # Another context than the loaded one makes it load the model anew.
        "num_ctx": request.context_tokens,
        # Never without a limit: whether a closed connection ends the generation lies with its child process.
        "num_predict": request.max_tokens or request.context_tokens,
        "temperature": request.temperature,
        "top_p": request.top_p,
        "seed": request.seed,
        "stop": [neutralise(text) for text in request.stop] or None,
    }
    body: dict[str, Any] = {
        "model": request.model,
        "stream": True,
        # Each request sets anew how long the model stays; when it goes is the site's to say.
        "keep_alive": -1,
        "options": {name: value for name, value in options.items() if value is not None},
        # Else it cuts the beginning of the conversation away without a word.
        "truncate": False,
        "shift": False,
    }
    if request.response_format is not None:
        body["format"] = format_body(request.response_format)
    return body


def _message(message: ChatMessage) -> dict[str, Any]:
    row: dict[str, Any] = {"role": message.role, "content": neutralise(message.content)}
    if message.tool_calls:
        row["tool_calls"] = [
            {"function": {"name": call.name, "arguments": read_schema(call.arguments)}} for call in message.tool_calls
        ]
    if message.tool_call_id:
        row["tool_call_id"] = message.tool_call_id
    return row
