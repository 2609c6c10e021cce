"""A replica whose answers fail in a row is taken out, tried with one question after a while, and taken back."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import F
from django.db.models.functions import Now

from models_admin.models import Deployment

FAILURES = 3
REST = timedelta(seconds=30)


def note_failure(deployment: int) -> None:
    """An engine gave no answer, or broke one off. What was not deployed any more is forgotten."""
    Deployment.objects.filter(pk=deployment).update(failures=F("failures") + 1, failed_at=Now())


def note_success(deployment: int) -> None:
    Deployment.objects.filter(pk=deployment, failures__gt=0).update(failures=0)


def is_resting(row: Deployment, now: datetime) -> bool:
    """It gets nothing for the moment."""
    return is_on_trial(row) and row.failed_at is not None and now - row.failed_at < REST


def is_on_trial(row: Deployment) -> bool:
    """Rested or not: until one answer has come to its end it gets one question at a time."""
    return row.failures >= FAILURES
