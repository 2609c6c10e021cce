"""Which limits bind a wish now, and what their grants make of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from accounts.models import ApiToken, QuotaLimit, User
from accounts.quota_windows import window_of

Kind = QuotaLimit.SubjectKind


@dataclass(frozen=True)
class Rule:
    """A limit as it binds now: `allowed` with its grants, from `start` to `end`, for `holder_id` (0: all together)."""

    limit: QuotaLimit
    holder_id: int
    allowed: int
    start: datetime
    end: datetime


def rules(user: User, token: ApiToken | None, model_key: str, now: datetime) -> list[Rule]:
    """In the order of the limits' keys; empty = nothing limits the wish."""
    valid = Q(starts_at__isnull=True) | Q(starts_at__lte=now)
    rows = QuotaLimit.objects.filter(_subjects(user, token), valid, model_key__in=["", model_key])
    found = list(rows.filter(Q(ends_at__isnull=True) | Q(ends_at__gt=now)).order_by("pk"))
    grants = [row for row in found if row.is_grant]
    return [_rule(row, grants, user, now) for row in found if not row.is_grant]


def counts_each(limit: QuotaLimit) -> bool:
    """Whether each person is counted for himself, where it is for more than one."""
    return limit.is_each and limit.subject_kind in (Kind.GROUP, Kind.EVERYONE)


def adds_to(grant: QuotaLimit, limit: QuotaLimit) -> bool:
    """What is granted to some is no more for all: a limit that all share grows only by a grant to all of them."""
    if (grant.unit, grant.model_key) != (limit.unit, limit.model_key):
        return False
    if limit.unit != QuotaLimit.Unit.RUNNING and grant.window != limit.window:
        return False
    is_same = (grant.subject_kind, grant.subject_id) == (limit.subject_kind, limit.subject_id)
    return is_same or (counts_each(limit) and grant.subject_kind != Kind.TOKEN)


def _rule(limit: QuotaLimit, grants: Sequence[QuotaLimit], user: User, now: datetime) -> Rule:
    start, end = window_of(limit, now)
    allowed = limit.amount + sum(grant.amount for grant in grants if adds_to(grant, limit))
    return Rule(limit, user.pk if counts_each(limit) else 0, allowed, start, end)


def _subjects(user: User, token: ApiToken | None) -> Q:
    found = Q(subject_kind=Kind.EVERYONE) | Q(subject_kind=Kind.USER, subject_id=user.pk)
    if user.main_group_id is not None:
        found |= Q(subject_kind=Kind.GROUP, subject_id=user.main_group_id)
    if token is not None:
        found |= Q(subject_kind=Kind.TOKEN, subject_id=token.pk)
    return found
