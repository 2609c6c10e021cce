"""How far off the waits were that people were told first: for admins, by the last answers that had to wait."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Final

from django.db.models import F

from chat.models import Generation

LAST: Final = 200


@dataclass(frozen=True)
class ToldWaits:
    """Of `count` waits: ms from the middle of the told range, and the share that ended within the range."""

    count: int
    median_ms: int
    p90_ms: int
    held: float


def of_last(count: int = LAST) -> ToldWaits | None:
    """None where nobody was told a time yet."""
    rows = Generation.objects.filter(told_low_ms__isnull=False, told_high_ms__isnull=False, released_at__isnull=False)
    waits = rows.order_by("-pk").values_list(F("released_at") - F("created_at"), "told_low_ms", "told_high_ms")
    told = [(waited.total_seconds() * 1000, low or 0, high or 0) for waited, low, high in waits[:count]]
    if not told:
        return None
    off = sorted(abs(waited - (low + high) / 2) for waited, low, high in told)
    held = sum(low <= waited <= high for waited, low, high in told)
    return ToldWaits(len(told), round(statistics.median(off)), round(off[int(0.9 * len(off))]), held / len(told))
