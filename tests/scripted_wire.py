"""The scripted engine's HTTP: just enough of HTTP/1.1 for clients that behave, in one protocol class."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, cast

REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 429: "Too Many Requests"}


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes


class Connection(asyncio.Protocol):
    """One client. `is_full`: its socket takes no more for now. `on_lost` is called if it leaves."""

    transport: asyncio.Transport

    def __init__(self, respond: Callable[[Connection, Request], None]) -> None:
        self._respond = respond
        self._received = b""
        self.is_full = False
        self.closes = False
        self.on_lost: Callable[[], None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is no subclass

    def data_received(self, data: bytes) -> None:
        self._received += data
        if b"\r\n\r\n" not in self._received:
            return
        top, _, rest = self._received.partition(b"\r\n\r\n")
        first, *lines = top.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        size = int(headers.get("content-length", 0))
        if len(rest) < size:
            return
        self._received = rest[size:]
        self.closes = headers.get("connection", "").lower() == "close"
        method, target, _ = first.split(" ")
        self._respond(self, Request(method, target.partition("?")[0], headers, rest[:size]))

    def connection_lost(self, error: Exception | None) -> None:
        if self.on_lost:
            self.on_lost()

    def pause_writing(self) -> None:
        self.is_full = True

    def resume_writing(self) -> None:
        self.is_full = False

    def write(self, data: bytes) -> None:
        self.transport.write(data)

    def send_chunk(self, data: bytes) -> None:
        self.transport.write(b"%x\r\n%s\r\n" % (len(data), data))

    def end_chunks(self) -> None:
        self.transport.write(b"0\r\n\r\n")
        if self.closes:
            self.transport.close()

    def send_json(self, status: int, value: object, *, retry_after: float | None = None) -> None:
        body = json.dumps(value).encode()
        self.write(head(status, "application/json", length=len(body), closes=self.closes, retry_after=retry_after))
        self.write(body)
        if self.closes:
            self.transport.close()

    def abort(self) -> None:
        self.transport.abort()


def head(
    status: int,
    content_type: str,
    *,
    length: int = 0,
    chunked: bool = False,
    closes: bool = False,
    retry_after: float | None = None,
) -> bytes:
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Error')}", f"Content-Type: {content_type}"]
    lines.append("Transfer-Encoding: chunked" if chunked else f"Content-Length: {length}")
    if closes:
        lines.append("Connection: close")
    if retry_after is not None:
        lines.append(f"Retry-After: {retry_after:g}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def error_body(status: int, message: str, kind: str) -> object:
    return {"error": {"code": status, "message": message, "type": kind, "param": None}}


def event(model: str, delta: dict[str, Any] | None, reason: str | None = None, usage: object = None) -> bytes:
    """One event of a stream, about as long as a real engine's; no choice where `delta` is None."""
    said = {"text": delta["text"]} if delta and "text" in delta else {"delta": delta}
    choices = [] if delta is None else [{"index": 0, **said, "finish_reason": reason}]
    value: dict[str, Any] = {
        "id": "chatcmpl-scripted0000000000000000000000000",
        "object": "chat.completion.chunk",
        "created": 1795486017,
        "model": model,
        "system_fingerprint": "scripted",
        "choices": choices,
    }
    if usage is not None:
        value["usage"] = usage
    return b"data: " + json.dumps(value).encode() + b"\n\n"


@lru_cache(maxsize=4096)
def token_event(model: str, channel: str, text: str) -> bytes:
    """The event of one token; the streams of a bench all say the same words."""
    return event(model, {channel: text})


def prompt_tokens(body: dict[str, Any]) -> int:
    """Words, as this engine's tokens; one for every four characters of a long word."""
    messages = body.get("messages")
    text = " ".join(str(message.get("content")) for message in messages) if messages else str(body["prompt"])
    return sum(1 + len(word) // 16 for word in text.split())


def template(body: dict[str, Any]) -> str:
    """The prompt of a chat, as a template of R1's kind writes it: it opens the thought."""
    return "".join(f"[[{message['role']}]]{message['content']}" for message in body["messages"]) + "[[answer]]<think>\n"


def question_and_given(body: dict[str, Any]) -> tuple[str, str | None]:
    """The user's last message; and of a raw completion what the answer holds already."""
    if "prompt" not in body:
        asked = [message for message in body["messages"] if message.get("role") != "assistant"]
        return str((asked or body["messages"])[-1]["content"]), None
    chat, _, given = str(body["prompt"]).rpartition("[[answer]]<think>\n")
    return chat.rpartition("[[user]]")[2], given


def overflow_body(kind: str, asked: int, limit: int) -> object:
    """The refusal of a long prompt in llama.cpp's words or in vLLM's."""
    if kind == "llama.cpp":
        message = f"request ({asked} tokens) exceeds the available context size ({limit} tokens), try increasing it"
        body = {"code": 400, "message": message, "type": "exceed_context_size_error"}
        return {"error": {**body, "n_prompt_tokens": asked, "n_ctx": limit}}
    message = f"This model's maximum context length is {limit} tokens. However, your request has {asked} input tokens."
    return error_body(400, message, "BadRequestError")


def has_closed_thought(body: dict[str, Any]) -> bool:
    """Whether the answer was begun with a thought that holds nothing: there is none to write."""
    messages = body.get("messages") or [{}]
    return messages[-1].get("role") == "assistant" and "reasoning_content" in messages[-1]
