"""What somebody may do about a question that waits: keep waiting, or a warm model that would begin sooner."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils.translation import gettext as _

from accounts.models import User
from chat import bells, estimating, history, picker, places
from chat.models import Generation
from chat.picker import Model

MOST: Final = 3


@dataclass(frozen=True)
class Alternative:
    """Another model; `wait` and `cost` in words."""

    key: str
    name: str
    wait: str
    cost: str
    is_cloud: bool


@dataclass(frozen=True)
class Choices:
    """The model that is waited for, as the picker names it, what it takes in words, and `others`, soonest first."""

    name: str
    look: str
    cost: str
    others: Sequence[Alternative]


def choices(user: User, generation_id: str) -> Choices | None:
    """None where there is nothing to choose: it does not wait, is not this person's, or nothing is sooner."""
    row = _waiting(user, generation_id)
    if row is None:
        return None
    models = picker.models(user)
    own = next((model for model in models if model.key == row.model_key), None)
    others = _sooner(user, row, models)
    if own is None or not others:
        return None
    return Choices(own.name, own.look, picker.gpu_seconds(row.estimate_gpu_ms), others)


def _sooner(user: User, row: Generation, models: Sequence[Model]) -> list[Alternative]:
    own = bells.seconds_until(places.place_of(row).high)
    told = places.told_places()
    found: list[tuple[int, Alternative]] = []
    for model in models:
        if model.look != "warm" or not model.may_ask or model.key == row.model_key:
            continue
        there = told.get(places.for_newcomer(model.key))
        high = bells.seconds_until(there.high) if there else None
        if high is None:  # not known: nothing is promised
            continue
        if own is None or high < own:
            cost = _cost(user, model.key, row)
            found.append((high, Alternative(model.key, model.name, _wait(high), cost, model.is_cloud)))
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
