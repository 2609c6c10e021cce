"""The doorbells of this room: who listens to each, and what its payload says."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from typing import Any

import msgspec

from live import doorbell
from live.doorbell import Bell

LINE, CONTROL, LIVE, USER = "r1:line", "r1:ctl", "r1:live", doorbell.USER
ANSWER_NOW = "r1:answer"
PLACE, STAGE, ENDED = "w", "s", "x"  # kinds of news beside the entries of a log


class Why(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why an answer waits: a code, and what its sentence names.

    `key` and `model` are the model waited for, `host` its machine, `other` the model that makes room for it ('' where
    readers may not know its name), `detail` a word of `warm_words`. `percent` of the load is done; `seconds` until its
    first token, by its last load; `until` in ms since the epoch.
    """

    code: str = ""
    key: str = ""
    model: str = ""
    host: str = ""
    other: str = ""
    detail: str = ""
    percent: int | None = None
    seconds: int | None = None
    until: int | None = None

    @property
    def args(self) -> dict[str, Any]:
        """All but the code, as far as it is known."""
        told: dict[str, Any] = msgspec.to_builtins(self)
        told.pop("code", None)
        return told


class Place(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many are ahead of an answer, why it waits, and between when (ms since the epoch) it should begin."""

    ahead: int
    why: Why
    low: int | None = None
    high: int | None = None


def line() -> Bell:
    """For the leader: something waits, or a slot is free."""
    return LINE, b""


def control(generation_id: uuid.UUID) -> Bell:
    """For the runner that has it: it shall stop."""
    return CONTROL, str(generation_id).encode()


def answer_now(generation_id: uuid.UUID) -> Bell:
    """For the runner that has it: its thinking shall end."""
    return ANSWER_NOW, str(generation_id).encode()


def user(user_id: int, what: str) -> Bell:
    """For the person's other tabs: look again at `what`."""
    return doorbell.for_user(user_id, what)


def live(news: list[list[object]]) -> Bell:
    """For followers: rows of (generation, attempt, from, to, kind, text, tokens of the kind so far)."""
    return LIVE, msgspec.msgpack.encode(news)


def stage(generation: str, attempt: int, stage: str) -> Bell:
    """For followers: what is done for it now."""
    return live([[generation, attempt, 0, 0, STAGE, stage, 0]])


def ended(generation_id: uuid.UUID) -> Bell:
    """For followers: the end is in the database."""
    return live([[str(generation_id), 0, 0, 0, ENDED, "", 0]])


def places(places_: Mapping[str, Place]) -> Bell:
    """For followers: where each generation stands in the line, and why it waits."""
    return live(
        [[key, 0, 0, 0, PLACE, msgspec.json.encode(each).decode(), each.ahead] for key, each in places_.items()]
    )


def place(told: str, ahead: int) -> Place:
    """What `places` told of one; a runner of another version may tell what is not known here."""
    try:
        return msgspec.json.decode(told, type=Place)
    except msgspec.DecodeError:
        return Place(ahead, Why())


def seconds_until(moment: int | None) -> int | None:
    """From ms since the epoch, so that a reader's own clock need not be right; 0 for what is past."""
    return None if moment is None else max(0, round(moment / 1000 - time.time()))
