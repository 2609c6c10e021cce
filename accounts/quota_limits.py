"""Setting a limit: what was used before it, in its running window, counts, and what is open now."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.signals import post_delete
from django.utils import timezone

from accounts import quota_open, quota_so_far
from accounts.models import ApiToken, Group, QuotaCounter, QuotaLimit, User

Kind = QuotaLimit.SubjectKind
# What decides which use is counted; a change of one of them makes the counters those of another limit.
COUNTED_BY = ("subject_kind", "subject_id", "is_each", "model_key", "unit", "window", "time_zone", "is_grant")


def watch() -> None:
    """Limits and grants go with whom they are for: they hold a number, which no foreign key follows."""
    for model, kind in ((User, Kind.USER), (Group, Kind.GROUP), (ApiToken, Kind.TOKEN)):
        forget = partial(_forget, kind)
        post_delete.connect(forget, sender=model, weak=False, dispatch_uid=f"limits_of_{kind}")


@transaction.atomic
def save(limit: QuotaLimit) -> None:
    """Make or change it."""
    before = QuotaLimit.objects.filter(pk=limit.pk).values_list(*COUNTED_BY).first()
    limit.save()
    if before == tuple(getattr(limit, name) for name in COUNTED_BY):
        return
    now, answers = timezone.now(), [] if limit.is_grant else quota_open.read()
    QuotaCounter.objects.filter(limit=limit).delete()
    counted_later = [each.generation_id for each in answers if each.is_billed_in_part]
    quota_so_far.begin_counting(limit, now, without=counted_later)
    quota_open.put_aside(limit, answers, now)


def _forget(kind: str, instance: User | Group | ApiToken, **_more: Any) -> None:
    QuotaLimit.objects.filter(subject_kind=kind, subject_id=instance.pk).delete()
