"""Other models for a question that waits: warm ones that would begin sooner, each with its own wait and cost."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from accounts.models import User
from chat import bells, estimating, history, picker, places
from chat.models import Generation

MOST: Final = 3


@dataclass(frozen=True)
class Alternative:
    """`wait` and `cost` in words."""

    key: str
    name: str
    wait: str
    cost: str


def alternatives(user: User, generation_id: str) -> list[Alternative]:
    """Soonest first; none where it does not wait, or is not this person's."""
    row = _waiting(user, generation_id)
    if row is None:
        return []
    own = bells.seconds_until(places.place_of(row).high)
    told = places.told_places()
    found: list[tuple[int, Alternative]] = []
    for model in picker.models(user):
        if model.look != "warm" or not model.may_ask or model.key == row.model_key:
            continue
        there = told.get(places.for_newcomer(model.key))
        high = bells.seconds_until(there.high) if there else None
        if high is None:  # not known: nothing is promised
            continue
        if own is None or high < own:
            found.append((high, Alternative(model.key, model.name, _wait(high), _cost(user, model.key, row))))
    return [each for _high, each in sorted(found, key=lambda pair: pair[0])[:MOST]]


def _waiting(user: User, generation_id: str) -> Generation | None:
    try:
        row = history.generation_for(user, uuid.UUID(generation_id))
    except (history.NotFound, ValueError):
        return None
    return row if row.state == Generation.State.WAITING else None


def _wait(seconds: int) -> str:
    if seconds <= 1:
        return _("at once")
    if seconds < 120:
        return _("within %(seconds)d s") % {"seconds": seconds}
    return _("within %(minutes)d min") % {"minutes": -(-seconds // 60)}


def _cost(user: User, model_key: str, row: Generation) -> str:
    question = row.message.parent.text if row.message and row.message.parent else ""
    found = estimating.estimate(
        user, model_key, think=estimating.think_of(row.options), prompt_tokens=estimating.tokens_in(question)
    )
    return picker.gpu_seconds(found.gpu_ms)
