"""Setting a limit: what was used before it, in its running window, counts."""

from __future__ import annotations

from django.db import transaction
from django.utils import timezone

from accounts import quota_so_far
from accounts.models import QuotaCounter, QuotaLimit

# What decides which use is counted; a change of one of them makes the counters those of another limit.
COUNTED_BY = ("subject_kind", "subject_id", "is_each", "model_key", "unit", "window", "time_zone", "is_grant")


@transaction.atomic
def save(limit: QuotaLimit) -> None:
    """Make or change it."""
    before = QuotaLimit.objects.filter(pk=limit.pk).values_list(*COUNTED_BY).first()
    limit.save()
    if before == tuple(getattr(limit, name) for name in COUNTED_BY):
        return
    QuotaCounter.objects.filter(limit=limit).delete()
    quota_so_far.begin_counting(limit, timezone.now())
