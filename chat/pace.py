"""How fast each deployment answers, reckoned from the rows of its answers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from uuid import UUID

from django.db.models import Max, Q

from chat.models import Generation
from models_admin import fleet

State = Generation.State
MINUTE = 60
# Ids sort by the time they were made, so this bounds what is read of a table that only grows.
LOOK_BACK = timedelta(hours=1)


@dataclass(frozen=True)
class Pace:
    """What a deployment does: tokens/s over the last minute and of each answer now, and when the last one ended."""

    tokens_per_second: float = 0.0
    each: float = 0.0
    running: int = 0
    ended_at: datetime | None = None


def paces(now: datetime) -> dict[int, Pace]:
    """Deployment → its pace. Slots are counted as they are leased; tokens as evenly spread over their answer."""
    recent = Generation.objects.filter(pk__gte=_first_id(now - LOOK_BACK), deployment__isnull=False)
    ended = dict(recent.values_list("deployment").annotate(Max("ended_at")).order_by())
    is_of_now = Q(state=State.RUNNING) | Q(ended_at__gte=now - timedelta(seconds=MINUTE))
    rows = recent.filter(is_of_now).values_list(
        "deployment", "first_token_at", "ended_at", "thinking_tokens", "answer_tokens"
    )
    rates: dict[int, float] = {}
    each: dict[int, list[float]] = {}
    for deployment, first, end, thinking, answer in rows:
        if first is None:
            continue
        tokens = thinking + answer
        rates[deployment] = rates.get(deployment, 0.0) + _rate(first, end or now, tokens, now)
        if end is None:
            each.setdefault(deployment, []).append(tokens / _seconds(first, now))
    slots = fleet.slots_in_use()
    return {
        key: Pace(rates.get(key, 0.0), fmean(each.get(key, [0.0])), slots.get(key, 0), ended.get(key))
        for key in {*ended, *rates, *slots}
    }


def _first_id(at: datetime) -> UUID:
    """No UUIDv7 made since then is smaller."""
    return UUID(int=int(at.timestamp() * 1000) << 80)


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 1.0)


def _rate(first: datetime, end: datetime, tokens: int, now: datetime) -> float:
    """Tokens/s that an answer adds to the last minute, as if its tokens had come evenly."""
    since = max(first, now - timedelta(seconds=MINUTE))
    return tokens * min(_seconds(since, end) / _seconds(first, end), 1.0) / MINUTE
