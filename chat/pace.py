"""How fast each deployment answers, reckoned from the rows of its answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone

from chat.models import Generation
from models_admin.engines import fleet
from models_admin.models import Deployment, SlotLease
from models_admin.pages.activity import Activity

State = Generation.State
MINUTE = 60
# What ended earlier is no more than "idle".
LOOK_BACK = timedelta(minutes=30)
# Nobody waits longer; it bounds what is read of a table that only grows, which no index by state does on SQLite.
LIVE_BACK = timedelta(days=1)


@dataclass(frozen=True)
class Pace:
    """What a deployment does: tokens/s over the last minute and of each answer now, and when the last one ended."""

    tokens_per_second: float = 0.0
    each: float = 0.0
    running: int = 0
    ended_at: datetime | None = None


def paces(now: datetime) -> dict[int, Pace]:
    """Deployment → its pace. Slots are counted as they are leased; tokens as evenly spread over their answer."""
    ended: dict[int, datetime] = {}
    rates: dict[int, float] = {}
    each: dict[int, list[float]] = {}
    columns = ("deployment", "first_token_at", "ended_at", "thinking_tokens", "answer_tokens")
    running = Generation.objects.filter(pk__in=SlotLease.objects.values("holder"))
    lately = since(now - LOOK_BACK).filter(ended_at__isnull=False)
    for deployment, first, end, thinking, answer in [*running.values_list(*columns), *lately.values_list(*columns)]:
        if deployment is None:
            continue
        if end is not None:
            ended[deployment] = max(end, ended.get(deployment, end))
        if first is None or (end is not None and (now - end).total_seconds() > MINUTE):
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


def by_host() -> dict[int, Activity]:
    """For the board of hosts. Who waits for a model waits at each host that has it."""
    now = timezone.now()
    found, waits = paces(now), Counter(each.model for each in waiting(now))
    rows: dict[int, list[Deployment]] = {}
    for row in Deployment.objects.filter(engine__is_cloud=False).select_related("engine", "artifact__model"):
        rows.setdefault(row.engine.host_id, []).append(row)
    return {host: _activity(here, found, waits) for host, here in rows.items()}


def _activity(here: list[Deployment], found: dict[int, Pace], waits: Counter[str]) -> Activity:
    own = [found.get(row.pk, Pace()) for row in here]
    return Activity(
        round(sum(each.tokens_per_second for each in own)),
        sum(each.running for each in own),
        sum(waits[model] for model in {row.artifact.model.key for row in here}),
    )


def since(at: datetime) -> QuerySet[Generation]:
    """Answers asked for since then, by their ids: no UUIDv7 made since then is smaller."""
    return Generation.objects.filter(pk__gte=UUID(int=int(at.timestamp() * 1000) << 80))


@dataclass(frozen=True)
class Waiting:
    """An answer that waits, and whose and of which model it would be."""

    id: str
    user: int
    model: str


def waiting(now: datetime) -> list[Waiting]:
    """Oldest first, without what is for idle time. Counted here: SQLite would walk an index of all that ever was."""
    rows = since(now - LIVE_BACK).filter(state=State.WAITING).exclude(queue_class=Generation.QueueClass.IDLE)
    columns = rows.values_list("pk", "user_id", "model_key")
    return [Waiting(str(pk), user, model) for pk, user, model in sorted(columns)]


def _seconds(since: datetime, until: datetime) -> float:
    return max((until - since).total_seconds(), 1.0)


def _rate(first: datetime, end: datetime, tokens: int, now: datetime) -> float:
    """Tokens/s that an answer adds to the last minute, as if its tokens had come evenly."""
    begin = max(first, now - timedelta(seconds=MINUTE))
    return tokens * min(_seconds(begin, end) / _seconds(first, end), 1.0) / MINUTE
