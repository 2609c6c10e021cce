"""How long was waited, as counts by length: small enough for every row of the roll-up, exact enough for a median. Pure.

A row keeps one count for each stretch between `BOUNDS_MS`; trailing zeros are left out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

BOUNDS_MS = (100, 250, 500, 1000, 2000, 4000, 8000, 15_000, 30_000, 60_000, 120_000, 240_000, 480_000, 960_000)
STRETCHES = len(BOUNDS_MS) + 1
ASSUMED_LONGEST_MS = 2 * BOUNDS_MS[-1]


def total(rows: Iterable[Sequence[int]]) -> list[int]:
    """Counts of several rows together."""
    sums = [0] * STRETCHES
    for row in rows:
        for stretch, count in enumerate(row):
            sums[stretch] += count
    while sums and not sums[-1]:
        sums.pop()
    return sums


def quantile_ms(counts: Sequence[int], share: float) -> int | None:
    """The wait that `share` of all stayed below, taken evenly within its stretch; None where nobody asked."""
    wanted, below = share * sum(counts), 0
    edges = (0, *BOUNDS_MS, ASSUMED_LONGEST_MS)
    for stretch, count in enumerate(counts):
        if count and below + count >= wanted:
            low, high = edges[stretch], edges[stretch + 1]
            return round(low + (high - low) * (wanted - below) / count)
        below += count
    return None
