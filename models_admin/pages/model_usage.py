"""How much a model was asked in the last days, by the ledger. Numbers only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db.models import Count, Sum
from django.utils import timezone

from accounts.models import LedgerEntry

DAYS = 7


@dataclass(frozen=True)
class Usage:
    """`answers` are the ledger's lines, one for each attempt; `gpu_seconds` as charged, 0 = not counted."""

    answers: int
    people: int
    gpu_seconds: int


def by_model() -> dict[str, Usage]:
    """By the model's key, for those that were asked at all."""
    recent = LedgerEntry.objects.filter(at__gte=timezone.now() - timedelta(days=DAYS))
    rows = recent.order_by().values("model_key").annotate(
        answers=Count("pk"), people=Count("ledger_id", distinct=True), gpu_ms=Sum("gpu_ms_charged")
    )  # fmt: skip
    return {row["model_key"]: Usage(row["answers"], row["people"], (row["gpu_ms"] or 0) // 1000) for row in rows}
