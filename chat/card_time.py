"""How long an answer really had its cards: of each moment a share, with all that ran on its deployment beside it.

Everything that overlaps with an answer has ended before its end or runs still, so at its end the share is known, and
the shares of all are together the time in which the deployment was at work.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from chat.models import Generation, Segment
from models_admin.engines import rates


@dataclass(frozen=True)
class Stretch:
    """From when to when something ran."""

    begin: datetime
    end: datetime


def stretch_of(row: Generation, milliseconds: int) -> Stretch | None:
    """Of its attempt, which was read for so long; None where it was never begun."""
    if row.started_at is None:
        return None
    return Stretch(row.started_at, row.started_at + timedelta(milliseconds=milliseconds))


def measured_ms(row: Generation, mine: Stretch | None) -> int:
    """GPU ms of the attempt that ran in `mine`, before its segment is written; a cloud has no card of ours."""
    deployment = row.deployment
    if deployment is None or deployment.engine.is_cloud or mine is None:
        return 0
    running = Generation.objects.filter(
        deployment=deployment, state=Generation.State.RUNNING, started_at__lt=mine.end
    ).exclude(pk=row.pk)
    # First what runs: what ends between the two readings is found in both, never in none.
    begun = {(key, attempt): begin for key, attempt, begin in running.values_list("pk", "attempt", "started_at")}
    ended = Segment.objects.filter(deployment=deployment, ended_at__gt=mine.begin, began_at__lt=mine.end)
    times: list[tuple[datetime | None, datetime | None]] = []
    for key, attempt, begin, end in ended.values_list("generation", "attempt", "began_at", "ended_at"):
        begun.pop((key, attempt), None)
        times.append((begin, end))
    times += [(begin, None) for begin in begun.values()]
    beside = [Stretch(begin, end or mine.end) for begin, end in times if begin is not None]
    return share_ms(mine, beside, rates.gpus_of(deployment))


def share_ms(mine: Stretch, beside: Iterable[Stretch], gpus: int) -> int:
    """The integral of GPUs ÷ answers at work."""
    overlaps = [(max(each.begin, mine.begin), min(each.end, mine.end)) for each in beside]
    changes = [change for begin, end in overlaps if begin < end for change in ((begin, 1), (end, -1))]
    seconds, at, others = 0.0, mine.begin, 0
    for moment, change in [*sorted(changes), (mine.end, 0)]:
        seconds += (moment - at).total_seconds() / (1 + others)
        at, others = moment, others + change
    return round(seconds * 1000 * gpus)
