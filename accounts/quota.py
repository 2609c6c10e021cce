"""Limits: amounts are reserved before an answer begins and settled exactly once when it has ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Q
from django.utils import timezone

from accounts.models import ApiToken, QuotaCounter, QuotaLimit, Reservation, User

# Longer than any answer waits and runs; the sweep frees what was forgotten after it.
OPEN_HOURS = 24


class QuotaError(Exception):
    """What limits can refuse: `QuotaExceeded`."""


class QuotaExceeded(QuotaError):
    """The wish does not fit into `limit`: `left` of its unit remain until `resets_at`."""

    def __init__(self, limit: QuotaLimit, left: int, resets_at: datetime) -> None:
        super().__init__(f"{left} {limit.unit} left until {resets_at:%Y-%m-%d %H:%M %Z}")
        self.limit = limit
        self.left = left
        self.resets_at = resets_at


@dataclass(frozen=True)
class Amounts:
    """What one generation takes: GPU milliseconds, tokens written (thinking and answer), requests."""

    gpu_ms: int = 0
    output_tokens: int = 0
    requests: int = 1

    def of(self, unit: str) -> int:
        return int(getattr(self, unit))


def reserve(*, user: User, token: ApiToken | None, generation_id: UUID, model_key: str, amounts: Amounts) -> None:
    """Puts `amounts` aside in every limit that applies, or in none: raises `QuotaExceeded`.

    Belongs inside the transaction that makes the generation. Without limits one row with no counter is written,
    so that settling takes the same way for everybody.
    """
    expires_at = timezone.now() + timedelta(hours=OPEN_HOURS)
    with transaction.atomic():
        counters = _counters(_limits(user, token, model_key), timezone.now())
        for counter in counters:
            _take(counter, amounts.of(counter.limit.unit))
        rows: Sequence[QuotaCounter | None] = counters or [None]
        Reservation.objects.bulk_create(
            Reservation(
                generation_id=generation_id,
                counter=counter,
                amount=amounts.of(counter.limit.unit) if counter else amounts.gpu_ms,
                expires_at=expires_at,
            )
            for counter in rows
        )


def settle(generation_id: UUID, actual: Amounts) -> None:
    """Books what was really used; the second call for a generation changes nothing."""
    _close(generation_id, Reservation.State.SETTLED, actual)


def release(generation_id: UUID) -> None:
    """Gives everything back: the generation used nothing. Changes nothing once settled or released."""
    _close(generation_id, Reservation.State.RELEASED, Amounts(requests=0))


def release_expired(now: datetime) -> int:
    """Gives back what nobody settled before it expired; answers the number of generations."""
    expired = Reservation.objects.filter(state=Reservation.State.OPEN, expires_at__lt=now)
    generation_ids = list(expired.order_by().values_list("generation_id", flat=True).distinct())
    for generation_id in generation_ids:
        release(generation_id)
    return len(generation_ids)


def forget_closed() -> None:
    """Delete closed reservations that are older than a generation can be; what they booked stays in the counters."""
    limit = timezone.now() - timedelta(hours=OPEN_HOURS)
    Reservation.objects.exclude(state=Reservation.State.OPEN).filter(expires_at__lt=limit).delete()


def _limits(user: User, token: ApiToken | None, model_key: str) -> list[QuotaLimit]:
    kinds = QuotaLimit.SubjectKind
    subject = Q(subject_kind=kinds.EVERYONE) | Q(subject_kind=kinds.USER, subject_id=user.pk)
    if user.main_group_id is not None:
        subject |= Q(subject_kind=kinds.GROUP, subject_id=user.main_group_id)
    if token is not None:
        subject |= Q(subject_kind=kinds.TOKEN, subject_id=token.pk)
    return list(QuotaLimit.objects.filter(subject, model_key__in=["", model_key]).order_by("pk"))


def _counters(limits: Iterable[QuotaLimit], now: datetime) -> list[QuotaCounter]:
    """The running window's counter of every limit, made where missing, by primary key: one order, no deadlock."""
    windows = {limit.pk: window_of(limit, now) for limit in limits}
    if not windows:
        return []
    QuotaCounter.objects.bulk_create(
        (QuotaCounter(limit_id=pk, window_start=start, window_end=end) for pk, (start, end) in windows.items()),
        ignore_conflicts=True,
    )
    wanted = Q(pk__in=[])
    for pk, (start, _end) in windows.items():
        wanted |= Q(limit_id=pk, window_start=start)
    return list(QuotaCounter.objects.filter(wanted).select_related("limit").order_by("pk"))


def _take(counter: QuotaCounter, amount: int) -> None:
    # The limit is a constant here: a join would become a sub-query, which PostgreSQL
    # does not read again after it waited for the row.
    room = counter.limit.amount - amount
    rows = QuotaCounter.objects.filter(pk=counter.pk, used__lte=room - F("reserved"))
    if not rows.update(reserved=F("reserved") + amount):
        counter.refresh_from_db(fields=["used", "reserved"])
        left = max(counter.limit.amount - counter.used - counter.reserved, 0)
        raise QuotaExceeded(counter.limit, left, counter.window_end)


def _close(generation_id: UUID, state: Reservation.State, actual: Amounts) -> None:
    with transaction.atomic(savepoint=False):
        rows = Reservation.objects.filter(generation_id=generation_id, state=Reservation.State.OPEN)
        for row in rows.select_related("counter__limit").order_by("counter_id"):
            used = actual.of(row.counter.limit.unit) if row.counter else actual.gpu_ms
            still_open = Reservation.objects.filter(pk=row.pk, state=Reservation.State.OPEN)
            if still_open.update(state=state, actual=used) and row.counter_id:
                QuotaCounter.objects.filter(pk=row.counter_id).update(
                    used=F("used") + used, reserved=F("reserved") - row.amount
                )


def window_of(limit: QuotaLimit, now: datetime) -> tuple[datetime, datetime]:
    """Start and end (UTC) of the window around `now`, cut in the limit's own time zone."""
    zone = ZoneInfo(limit.time_zone)
    local = now.astimezone(zone)
    if limit.window == QuotaLimit.Window.HOUR:
        start = now - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return start, start + timedelta(hours=1)
    first, after = _days(limit.window, local.date())
    return _midnight(first, zone), _midnight(after, zone)


def _days(window: str, today: date) -> tuple[date, date]:
    """First day of the window and the first day after it."""
    if window == QuotaLimit.Window.DAY:
        return today, today + timedelta(days=1)
    if window == QuotaLimit.Window.WEEK:
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    first = today.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(ZoneInfo("UTC"))
