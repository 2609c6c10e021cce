"""Who of the line goes where: the line says who is next, `placement` which replica of the model takes the answer."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import BooleanField, Case, F, OuterRef, Q, Subquery, Value, When
from django.utils import timezone

from chat import carrying_on
from chat.line import Entry, Line
from chat.models import Generation
from models_admin.backends.capabilities import continuing
from models_admin.engines import circuit
from models_admin.engines.placement import Nowhere, Replica, Wish, place, taken
from models_admin.models import Deployment


def replicas(deployments: Sequence[Deployment], in_use: dict[int, int]) -> list[Replica]:
    """`in_use`: leased slots by deployment id. The only one is never taken out: a failing one is better than none."""
    now, has_sound = timezone.now(), any(not circuit.is_on_trial(row) for row in deployments)
    return [
        Replica(
            row.pk,
            row.slots,
            in_use.get(row.pk, 0),
            is_warm=row.state == Deployment.State.WARM,
            is_cloud=row.engine.is_cloud,
            is_resting=has_sound and circuit.is_resting(row, now),
            is_on_trial=has_sound and circuit.is_on_trial(row),
            abilities=continuing(row.engine.kind, row.artifact.ref),
        )
        for row in deployments
    ]


@dataclass(frozen=True)
class Choice:
    """Generations by replica id, and those that no waiting will ever help. All of them are taken from the line."""

    chosen: dict[int, list[uuid.UUID]]
    forbidden: list[uuid.UUID]


def choose(line: Line, model: str, there: list[Replica]) -> Choice:
    """Take from the line who can run now. Who finds no replica is put back to his place."""
    free = sum(replica.free for replica in there)
    entries: list[Entry] = []
    while len(entries) < free and (entry := line.pick(model)):
        line.take(entry.key)
        entries.append(entry)
    choice = Choice({}, [])
    wishes = _wishes([uuid.UUID(entry.key) for entry in entries]) if entries else {}
    for entry in entries:
        key = uuid.UUID(entry.key)
        found = place(wishes.get(key, Wish()), there)
        if not isinstance(found, Nowhere):
            choice.chosen.setdefault(found.id, []).append(key)
            there = taken(there, found)
        elif found.is_forbidden:
            choice.forbidden.append(key)
        else:
            line.give_back(entry.key)
    return choice


def _wishes(keys: Sequence[uuid.UUID]) -> dict[uuid.UUID, Wish]:
    """Where each one's conversation was answered last, and whether it has to stay at home."""
    earlier = Generation.objects.filter(
        message__conversation=OuterRef("message__conversation"), deployment__isnull=False
    ).exclude(pk=OuterRef("pk"))
    may_leave = Q(user__is_superuser=True) | Q(user__main_group__may_use_cloud=True)
    rows = Generation.objects.filter(pk__in=keys).annotate(
        previous=Subquery(earlier.order_by("-created_at").values("deployment_id")[:1]),
        is_kept=F("message__conversation__is_local_only"),
        may_leave=Case(When(may_leave, then=Value(True)), default=Value(False), output_field=BooleanField()),
    )
    found = rows.values_list("pk", "previous", "is_kept", "may_leave", "thinking_from", "text_from")
    return {
        key: Wish(previous, bool(is_kept) or not may_leave, carrying_on.ability(thinking, text))
        for key, previous, is_kept, may_leave, thinking, text in found
    }
