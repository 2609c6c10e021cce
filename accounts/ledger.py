"""The ledger: one line per use, written once, never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Max, Sum

from accounts.models import LedgerEntry

# The number of an advisory lock of PostgreSQL. A lock of the table would wait for its vacuum, too.
BARRIER = 7_201_911


# Whom the ledger names for what the site does by itself, in idle time.
SITE = UUID(int=0)


@dataclass(frozen=True, kw_only=True)
class Use:
    """The fields of `LedgerEntry`: tokens, milliseconds, money in millionths of `currency`.

    `key` is "<generation>/<segment>/<kind>". Kind "use" counts as a request; any other ("part", "idle", "correction")
    does not.
    """

    key: str
    at: datetime
    ledger_id: UUID
    model_key: str
    source: str
    group_name: str = ""
    token_name: str = ""
    host_name: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    waiting_ms: int = 0
    loading_ms: int = 0
    prefill_ms: int = 0
    decode_ms: int = 0
    gpu_ms_charged: int = 0
    gpu_ms_measured: int = 0
    cost_micro: int = 0
    currency: str = ""
    deployment_id: int | None = None
    price_row_id: int | None = None
    unsent_thinking_tokens: int = 0


def record(use: Use) -> None:
    """Writes the line. Where its key is in the ledger already, that line stays as it is."""
    with transaction.atomic(savepoint=False):
        if connection.vendor == "postgresql":
            with connection.cursor() as cursor:  # held until the commit: the roll-up waits for ids that are under way
                cursor.execute("SELECT pg_advisory_xact_lock_shared(%s)", [BARRIER])
        LedgerEntry.objects.bulk_create([LedgerEntry(**asdict(use))], ignore_conflicts=True)


@dataclass(frozen=True)
class Booked:
    """What several lines say together: money in millionths, and when the last was written."""

    cost_micro: int = 0
    at: datetime | None = None


def booked(keys: Sequence[str]) -> Booked:
    """Of the lines with these keys."""
    if not keys:
        return Booked()
    found = LedgerEntry.objects.filter(key__in=keys).aggregate(cost=Sum("cost_micro"), at=Max("at"))
    return Booked(found["cost"] or 0, found["at"])
