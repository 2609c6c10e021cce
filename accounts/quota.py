"""Limits: amounts are reserved before an answer begins and settled exactly once when it has ended."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import transaction
from django.db.models import F, Value
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone

from accounts import quota_rules, quota_standing
from accounts.models import ApiToken, QuotaCounter, QuotaLimit, Reservation, User
from accounts.quota_rules import Rule
from accounts.quota_standing import Standing

# Longer than any answer waits and runs; the sweep frees what was forgotten after it.
OPEN_HOURS = 24
# The longest window is a month, and the next one asks it for its debt.
COUNTERS_KEPT = timedelta(days=64)
# When something of one's own may have ended, where no window says when there is room again.
RUNNING_RETRY_SECONDS = 10
State, Unit = Reservation.State, QuotaLimit.Unit


class QuotaError(Exception):
    """What limits can refuse: `QuotaExceeded`, `PriceUnknown`."""


class QuotaExceeded(QuotaError):
    """The wish takes `needs` of a limit's unit, and less is left of it."""

    def __init__(self, standing: Standing, needs: int) -> None:
        super().__init__(f"{standing.left} {standing.limit.unit} left, {needs} asked for")
        self.standing = standing
        self.needs = needs
        self.limit = standing.limit
        self.left = standing.left
        self.resets_at = standing.resets_at

    @property
    def can_never_fit(self) -> bool:
        """Not even into a new window."""
        return self.needs > self.standing.allowed

    @property
    def retry_after(self) -> int:
        """Seconds."""
        if self.resets_at is None:
            return RUNNING_RETRY_SECONDS
        return max(1, math.ceil((self.resets_at - timezone.now()).total_seconds()))


class PriceUnknown(QuotaError):
    """A limit of money binds the wish, and nobody knows what it will cost."""

    def __init__(self, limit: QuotaLimit) -> None:
        super().__init__("no price is known")
        self.limit = limit


@dataclass(frozen=True)
class Amounts:
    """What one generation takes: GPU milliseconds, tokens written (thinking and answer), requests, millionths of money.

    It is one that runs, from when it is asked until it has ended. Not `is_priced`: it costs money, and how much is not
    known.
    """

    gpu_ms: int = 0
    output_tokens: int = 0
    requests: int = 1
    cost_micro: int = 0
    running: int = 1
    is_priced: bool = True

    def of(self, unit: str) -> int:
        return int(getattr(self, unit))

    def touches(self, unit: str) -> bool:
        """Whether a limit of this unit is asked: an empty cloud budget leaves local models usable, and used up time
        of the house's own cards the cloud."""
        if unit == Unit.COST_MICRO and not self.is_priced:
            return True
        return unit not in (Unit.COST_MICRO, Unit.GPU_MS) or self.of(unit) > 0


NOTHING = Amounts(requests=0, running=0)


def reserve(*, user: User, token: ApiToken | None, generation_id: UUID, model_key: str, amounts: Amounts) -> None:
    """Puts `amounts` aside in every limit that applies, or in none: raises `QuotaExceeded` or `PriceUnknown`.

    Belongs inside the transaction that makes the generation. Without limits one row with no counter is written,
    so that settling takes the same way for everybody.
    """
    now = timezone.now()
    with transaction.atomic():
        rules = quota_rules.rules(user, token, model_key, now)
        budget = _budget(rules)
        if budget is not None and not amounts.is_priced:
            raise PriceUnknown(budget)
        standings = _opened([rule for rule in rules if amounts.touches(rule.limit.unit)])
        for standing in standings:
            if not _take(standing, amounts.of(standing.limit.unit)):
                raise _refusal([each.rule for each in standings], amounts)
        _write_down(generation_id, standings, amounts, now + timedelta(hours=OPEN_HOURS))


def has_budget(user: User, token: ApiToken | None, model_key: str) -> bool:
    """Whether any limit of money binds him: then nothing may be asked whose price nobody knows."""
    return _budget(quota_rules.rules(user, token, model_key, timezone.now())) is not None


def settle(generation_id: UUID, actual: Amounts) -> None:
    """Books what was really used; the second call for a generation changes nothing.

    What the sweep gave back too early is booked all the same.
    """
    _close(generation_id, State.SETTLED, actual, of=(State.OPEN, State.EXPIRED))


def release(generation_id: UUID) -> None:
    """Gives everything back: the generation used nothing. Changes nothing once settled or released."""
    _close(generation_id, State.RELEASED, NOTHING, of=(State.OPEN, State.EXPIRED))


def release_expired(now: datetime) -> int:
    """Gives back what nobody settled before it expired; answers the number of generations."""
    expired = Reservation.objects.filter(state=State.OPEN, expires_at__lt=now)
    generation_ids = list(expired.order_by().values_list("generation_id", flat=True).distinct())
    for generation_id in generation_ids:
        _close(generation_id, State.EXPIRED, NOTHING, of=(State.OPEN,))
    return len(generation_ids)


def forget_closed() -> None:
    """Delete closed reservations that are older than a generation can be, and counters that no debt asks for."""
    limit = timezone.now() - timedelta(hours=OPEN_HOURS)
    Reservation.objects.exclude(state=State.OPEN).filter(expires_at__lt=limit).delete()
    QuotaCounter.objects.filter(window_end__lt=timezone.now() - COUNTERS_KEPT, reserved=0).delete()


def _budget(rules: Sequence[Rule]) -> QuotaLimit | None:
    return next((rule.limit for rule in rules if rule.limit.unit == Unit.COST_MICRO), None)


def _opened(rules: Sequence[Rule]) -> list[Standing]:
    """The running window of every rule, made where missing, by primary key: one order, no deadlock."""
    found = quota_standing.of(rules)
    missing = [each.rule for each in found if each.counter_id is None]
    if missing:
        QuotaCounter.objects.bulk_create(
            (
                QuotaCounter(
                    limit=rule.limit, holder_id=rule.holder_id, window_start=rule.start, window_end=rule.end
                )
                for rule in missing
            ),
            ignore_conflicts=True,
        )  # fmt: skip
        found = quota_standing.of(rules)
    return sorted(found, key=lambda each: each.counter_id or 0)


def _take(standing: Standing, amount: int) -> bool:
    # What is allowed is a constant here: a join would become a sub-query, which PostgreSQL
    # does not read again after it waited for the row.
    room = standing.allowed - standing.debt - amount
    rows = QuotaCounter.objects.filter(pk=standing.counter_id or 0, used__lte=room - F("reserved"))
    most = Greatest(Coalesce(F("allowed"), 0), Value(standing.allowed))
    return bool(rows.update(reserved=F("reserved") + amount, debt=standing.debt, allowed=most))


def _refusal(rules: Sequence[Rule], amounts: Amounts) -> QuotaExceeded:
    """Of several limits that are used up the one that resets last: before it nothing helps."""
    full = [each for each in quota_standing.of(rules) if not each.fits(amounts.of(each.limit.unit))]
    # Somebody may have given something back since; then the wish is refused once too often.
    last = max(full or quota_standing.of(rules), key=lambda each: each.resets_at or each.rule.start)
    return QuotaExceeded(last, amounts.of(last.limit.unit))


def _write_down(
    generation_id: UUID, standings: Sequence[Standing], amounts: Amounts, expires_at: datetime
) -> None:  # fmt: skip
    rows = [(each.counter_id, amounts.of(each.limit.unit)) for each in standings] or [(None, amounts.gpu_ms)]
    Reservation.objects.bulk_create(
        Reservation(generation_id=generation_id, counter_id=counter, amount=amount, expires_at=expires_at)
        for counter, amount in rows
    )


def _close(generation_id: UUID, state: Reservation.State, actual: Amounts, *, of: Sequence[Reservation.State]) -> None:
    with transaction.atomic(savepoint=False):
        # Locked: the sweep and the end of an answer may meet here, and each has to see what the other did.
        rows = Reservation.objects.select_for_update(of=("self",)).filter(generation_id=generation_id, state__in=of)
        for row in rows.select_related("counter__limit").order_by("counter_id"):
            used = _booked(row, actual)
            reserved = row.amount if row.state == State.OPEN else 0
            Reservation.objects.filter(pk=row.pk).update(state=state, actual=used)
            if row.counter_id is not None:
                QuotaCounter.objects.filter(pk=row.counter_id).update(
                    used=F("used") + used, reserved=F("reserved") - reserved
                )


def _booked(row: Reservation, actual: Amounts) -> int:
    if row.counter is None:
        return actual.gpu_ms
    unit = row.counter.limit.unit
    return 0 if unit == Unit.RUNNING else actual.of(unit)
