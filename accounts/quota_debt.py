"""What an answer took beyond its limit is paid by the next window: nothing that runs is ever cut."""

from __future__ import annotations

from accounts.models import QuotaCounter

# At most half of the next window pays, so that nobody finds a new window closed.
DEBT_PART = 2


def carried(before: QuotaCounter | None, allowed: int) -> int:
    """Of the window `before`, for one that allows `allowed`; empty windows between them have paid it."""
    if before is None or before.allowed is None:
        return 0
    over = before.used + before.debt - before.allowed
    return min(max(over, 0), allowed // DEBT_PART)
