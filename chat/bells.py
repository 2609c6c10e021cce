"""The doorbells of this room: who listens to each, and what its payload says."""

from __future__ import annotations

import uuid
from collections.abc import Mapping

import msgspec

from live.doorbell import Bell

LINE, CONTROL, LIVE, USER = "r1:line", "r1:ctl", "r1:live", "r1:user"
PLACE, STAGE, ENDED = "w", "s", "x"  # kinds of news beside the entries of a log


def line() -> Bell:
    """For the leader: something waits, or a slot is free."""
    return LINE, b""


def control(generation_id: uuid.UUID) -> Bell:
    """For the runner that has it: it shall stop."""
    return CONTROL, str(generation_id).encode()


def user(user_id: int, what: str) -> Bell:
    """For the person's other tabs: look again at `what`."""
    return USER, msgspec.msgpack.encode([user_id, what])


def live(news: list[list[object]]) -> Bell:
    """For followers: rows of (generation, attempt, from, to, kind, text, tokens of the kind so far)."""
    return LIVE, msgspec.msgpack.encode(news)


def ended(generation_id: uuid.UUID) -> Bell:
    """For followers: the end is in the database."""
    return live([[str(generation_id), 0, 0, 0, ENDED, "", 0]])


def places(places_: Mapping[str, tuple[int, str]]) -> Bell:
    """For followers: how many are ahead of each generation, and the code of why it waits."""
    return live([[key, 0, 0, 0, PLACE, reason, ahead] for key, (ahead, reason) in places_.items()])
