"""What the ledger says was used of a limit in its running window: who would be over, and where counting begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Count, F, Q, QuerySet, Sum
from django.db.models.functions import Substr
from django.utils import timezone

from accounts.models import ApiToken, LedgerEntry, QuotaCounter, QuotaLimit, User
from accounts.quota_rules import Kind, adds_to, counts_each
from accounts.quota_windows import window_of

Unit = QuotaLimit.Unit
# A request may have several segments: the generation's id begins their keys.
GENERATION_CHARACTERS = 36
# What the site does in idle time is on nobody's limits.
IDLE = "idle"
SUMS: dict[str, Any] = {
    Unit.GPU_MS: Sum("gpu_ms_charged"),
    Unit.OUTPUT_TOKENS: Sum(F("thinking_tokens") + F("answer_tokens")),
    Unit.REQUESTS: Count(Substr("key", 1, GENERATION_CHARACTERS), distinct=True),
    Unit.COST_MICRO: Sum("cost_micro"),
}


@dataclass(frozen=True)
class Used:
    """By one person, or (None) by all together, of what is `allowed` him with his grants."""

    person: User | None
    used: int
    allowed: int

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.used >= self.allowed


def over(limit: QuotaLimit, now: datetime | None = None) -> list[Used]:
    """Who would have nothing left of it, the furthest first."""
    found = [used for used in so_far(limit, now or timezone.now()) if used.is_over]
    return sorted(found, key=lambda each: -each.used)


def so_far(limit: QuotaLimit, now: datetime, without: Sequence[UUID] = ()) -> list[Used]:
    """Everybody who used something of it, but for the generations `without`.

    Nothing where what is open now is counted: that is no use of the past.
    """
    if limit.unit == Unit.RUNNING or limit.is_grant:
        return []
    entries, sum_of = _entries(limit, now), SUMS[limit.unit]
    if without:
        entries = entries.alias(generation=Substr("key", 1, GENERATION_CHARACTERS))
        entries = entries.exclude(generation__in=[str(each) for each in without])
    grants = _grants(limit, now)
    if not counts_each(limit) and limit.subject_kind != Kind.USER:
        used = entries.aggregate(used=sum_of)["used"] or 0
        return [Used(None, used, limit.amount + sum(row.amount for row in grants))]
    by_person = dict(entries.order_by().values("ledger_id").annotate(used=sum_of).values_list("ledger_id", "used"))
    people = User.objects.filter(ledger_id__in=list(by_person))
    return [Used(each, by_person[each.ledger_id] or 0, limit.amount + _granted(grants, each)) for each in people]


def begin_counting(limit: QuotaLimit, now: datetime, without: Sequence[UUID] = ()) -> None:
    """A limit that is set in mid-window counts what was used in it before, as it was told to whoever set it.

    `without`: generations that count at their end with all they took.
    """
    start, end = window_of(limit, now)
    is_each = counts_each(limit)
    QuotaCounter.objects.bulk_create(
        (
            QuotaCounter(
                limit=limit,
                holder_id=each.person.pk if is_each and each.person else 0,
                window_start=start,
                window_end=end,
                used=each.used,
            )
            for each in so_far(limit, now, without)
        ),
        ignore_conflicts=True,
    )


def _entries(limit: QuotaLimit, now: datetime) -> QuerySet[LedgerEntry]:
    start, end = window_of(limit, now)
    rows = LedgerEntry.objects.filter(at__gte=start, at__lt=end).exclude(source=IDLE)
    if limit.model_key:
        rows = rows.filter(model_key=limit.model_key)
    if limit.subject_kind == Kind.TOKEN:
        token = ApiToken.objects.select_related("user").get(pk=limit.subject_id or 0)
        return rows.filter(ledger_id=token.user.ledger_id, token_name=token.name)
    if limit.subject_kind == Kind.EVERYONE:
        return rows
    which = "pk" if limit.subject_kind == Kind.USER else "main_group_id"
    return rows.filter(ledger_id__in=User.objects.filter(**{which: limit.subject_id}).values("ledger_id"))


def _grants(limit: QuotaLimit, now: datetime) -> Sequence[QuotaLimit]:
    valid = Q(starts_at__isnull=True) | Q(starts_at__lte=now), Q(ends_at__isnull=True) | Q(ends_at__gt=now)
    return [row for row in QuotaLimit.objects.filter(*valid, is_grant=True) if adds_to(row, limit)]


def _granted(grants: Sequence[QuotaLimit], person: User) -> int:
    subjects = {(Kind.EVERYONE, None), (Kind.USER, person.pk), (Kind.GROUP, person.main_group_id)}
    return sum(row.amount for row in grants if (row.subject_kind, row.subject_id) in subjects)
