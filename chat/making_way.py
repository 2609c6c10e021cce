"""Models that are waited for and not in memory: which of them are loaded now, and what gets no more work for that."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime

from django.utils import timezone

from chat import collation
from chat.collation import Resident, Wanted
from chat.line import Line
from models_admin.engines import fleet
from models_admin.loads import outlook, warm_sweep
from models_admin.loads.outlook import Outlook, Verdict
from models_admin.models import Deployment


def load_what_may(line: Line, cold: Collection[str]) -> frozenset[int]:
    """Begin what may be loaded, who waits longest first. Returns the deployments that are held back: they get no more
    work until they have made way."""
    if not cold:
        return frozenset()
    held_back: set[int] = set()
    oldest = _oldest(line)
    now, waited_for, answering = timezone.now(), set(line.models), fleet.slots_in_use()
    for model in sorted(cold, key=lambda each: oldest[each]):
        look = outlook.look()
        best = look.for_model(model)
        residents = _in_the_way(look, best) if best else ()
        if best and residents:
            wanted = Wanted(round(now.timestamp() * 1000 - oldest[model] / 1000), best.deployment.load_ms)
            if collation.makes_way(wanted, [_resident(row, now, waited_for, answering) for row in residents]):
                held_back |= {row.pk for row in residents}
            elif best.verdict is Verdict.AFTER_UNLOADING:
                continue  # else it would be loaded; where its room is in use, that is written down as its reason
        warm_sweep.on_demand(model)
    return frozenset(held_back)


def _oldest(line: Line) -> dict[str, int]:
    """When the oldest question for each model was asked: µs since the epoch."""
    found: dict[str, int] = {}
    for entry in line:
        found[entry.model] = min(entry.seq, found.get(entry.model, entry.seq))
    return found


def _in_the_way(look: outlook.Look, best: Outlook) -> Sequence[Deployment]:
    if best.verdict is Verdict.AFTER_UNLOADING:
        return best.unloads
    return look.in_the_way(best.deployment) if best.verdict is Verdict.IN_USE else ()


def _resident(row: Deployment, now: datetime, waited_for: Collection[str], answering: Collection[int]) -> Resident:
    return Resident(
        row.pk,
        round((now - row.state_since).total_seconds() * 1000),
        is_waited_for=row.artifact.model.key in waited_for,
        is_answering=row.pk in answering,
    )
