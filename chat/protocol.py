"""The socket protocol r1.v1: what a client may send and the frames the site sends. docs/websocket.md describes each."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any, Literal

import msgspec

from chat.answer_log import Position

VERSION = 1
CLIENT_FRAME_BYTES = 1024 * 1024
SNAPSHOT_CHARACTERS = 8_000
SOCKETS_PER_USER = 20
WATCHED_PER_SOCKET = 64
GENERATION_CREDIT = 64 * 1024  # bytes owed without an ack
SOCKET_CREDIT = 256 * 1024
ACK_DEADLINE_SECONDS = 30.0
HELLO_DEADLINE_SECONDS = 5.0
CLOSE_FRAME, CLOSE_RIGHTS, CLOSE_SLOW, CLOSE_SOCKETS, CLOSE_RESTART = 4400, 4401, 4408, 4429, 1012

Id = Annotated[str, msgspec.Meta(max_length=64)]
Think = Literal["auto", "on", "off"]
Effort = Literal["low", "medium", "high"]


class BadFrame(Exception):
    """No frame of this protocol; `id` is the wish it names, if any."""

    def __init__(self, text: str, id_: str | None = None) -> None:
        super().__init__(text)
        self.id = id_


class Frame(msgspec.Struct, frozen=True, tag_field="type"):
    """A frame of a client."""


class Hello(Frame, frozen=True, tag="hello"):
    v: int
    tab: Id = ""
    assets: Id = ""


class Ask(Frame, frozen=True, tag="ask"):
    id: Id
    key: uuid.UUID
    text: str
    model: Annotated[str, msgspec.Meta(max_length=200)]
    conversation: uuid.UUID | None = None
    think: Think = "auto"
    effort: Effort | None = None


class Regenerate(Frame, frozen=True, tag="regenerate"):
    """With `model` by another one; an answer that still waits then leaves its place."""

    id: Id
    key: uuid.UUID
    message: uuid.UUID
    model: Annotated[str, msgspec.Meta(max_length=200)] = ""


class Continue(Frame, frozen=True, tag="continue"):
    id: Id
    key: uuid.UUID
    message: uuid.UUID


class Watch(Frame, frozen=True, tag="watch"):
    generation: uuid.UUID
    id: Id = ""
    after: Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}-\d{1,9}$")] = "0-0"


class Unwatch(Frame, frozen=True, tag="unwatch"):
    generation: uuid.UUID
    id: Id = ""


class Ack(Frame, frozen=True, tag="ack"):
    g: int
    s: Annotated[str, msgspec.Meta(pattern=r"^\d{1,9}-\d{1,9}$")]


class Stop(Frame, frozen=True, tag="stop"):
    id: Id
    generation: uuid.UUID


class AnswerNow(Frame, frozen=True, tag="answer_now"):
    id: Id
    generation: uuid.UUID


class Ping(Frame, frozen=True, tag="ping"):
    n: int


Wish = Hello | Ask | Regenerate | Continue | Watch | Unwatch | Stop | AnswerNow | Ping
ClientFrame = Wish | Ack
_decoder: msgspec.json.Decoder[ClientFrame] = msgspec.json.Decoder(ClientFrame)


def parse(text: str) -> ClientFrame:
    """One client frame; raises BadFrame for anything else, however wrong, huge or deep."""
    try:
        raw = text.encode()
        if len(raw) > CLIENT_FRAME_BYTES:
            raise BadFrame("frame too long")
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise BadFrame("not a frame of r1.v1", _id_of(text)) from error


def _id_of(text: str) -> str | None:
    # Python's own reader: half a surrogate pair makes a frame unreadable for msgspec, yet its sender waits.
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError):
        return None
    found = raw.get("id") if isinstance(raw, dict) else None
    return found[:64] if isinstance(found, str) and found.isascii() else None


def delta(g: int, start: Position, end: Position, kind: str, text: str, tokens: int) -> str:
    """The hot frame, written without a dictionary in between."""
    quoted = msgspec.json.encode(text).decode()
    return f'{{"type":"d","g":{g},"f":"{start}","s":"{end}","k":"{kind}","d":{quoted},"n":{tokens}}}'


def frame(type_: str, **fields: Any) -> str:
    """Any other server frame; fields that are None are left out."""
    body = {"type": type_, **{name: value for name, value in fields.items() if value is not None}}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"), default=str)
