"""Adds the ledger up by day: for each person (UsageDay), for the box (BoxDay), and how alike the day was (FairDay).

A batch is booked in one transaction with the move of the mark from where it was read: of two that book the same batch
one finds the mark gone. Ids of PostgreSQL become visible out of order, so the mark only goes where no insert is under
way any more (docs/decisions/0019).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, date
from typing import Any, Final, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import Case, Count, IntegerField, Max, Q, QuerySet, Sum, Value, When
from django.db.models.functions import TruncDate

from accounts import waits
from accounts.ledger_models import BoxDay, FairDay, LedgerEntry, Sums, UsageDay, UsageMark

NAME = "days"
BATCH = 5000
# Inserts take milliseconds; while this waits for them, others wait behind it.
BARRIER_MS = 500
# Who waited less than this on a day had all he asked for and says nothing about the line.
WAITED_MS = 60_000
_DAY: Final = ("day", "model_key", "source", "currency")
_PERSONS_DAY: Final = ("ledger_id", *_DAY)
_IS_USE = Q(key__endswith="/use")

Day = TypeVar("Day", UsageDay, BoxDay)
Key = tuple[Any, ...]


def sweep() -> int:
    """Book one batch; the number of ledger entries that were new. 0 as well where another one booked them."""
    mark, _made = UsageMark.objects.get_or_create(name=NAME)
    begin = mark.ledger_entry_id
    end = _settled_id(begin)
    if end is None:
        return 0
    return _book(begin, _last_of_batch(begin, end))


def catch_up() -> int:
    """Book all there is; the number of entries."""
    booked = 0
    while new := sweep():
        booked += new
    return booked


def _settled_id(begin: int) -> int | None:
    """The newest id that no smaller one can follow any more; None where nothing is new, or inserts do not end."""
    newer = LedgerEntry.objects.filter(pk__gt=begin)
    if not newer.exists():
        return None
    if connection.vendor != "postgresql":  # SQLite has one writer at a time: ids are in the order of commits
        return _newest(newer)
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"SET LOCAL lock_timeout = {BARRIER_MS}")
            cursor.execute(f"LOCK TABLE {LedgerEntry._meta.db_table} IN SHARE MODE")
            return _newest(newer)
    except OperationalError:
        return None


def _newest(rows: QuerySet[LedgerEntry]) -> int | None:
    newest: int | None = rows.aggregate(id=Max("pk"))["id"]
    return newest


def _last_of_batch(begin: int, end: int) -> int:
    batch = LedgerEntry.objects.filter(pk__gt=begin, pk__lte=end).order_by("pk").values_list("pk", flat=True)
    return max(batch[:BATCH])


def _book(begin: int, end: int) -> int:
    with transaction.atomic():
        mark = UsageMark.objects.filter(name=NAME, ledger_entry_id=begin)
        # First of all: it takes the row's lock, so what follows reads sums that nobody else writes.
        if not mark.update(ledger_entry_id=end):
            return 0
        entries = LedgerEntry.objects.filter(pk__gt=begin, pk__lte=end)
        new = days_of(entries)
        together = [_everybodys(row) for row in new]
        _add(UsageDay, _PERSONS_DAY, new)
        _add(BoxDay, _DAY, together)
        for day in {row.day for row in new}:
            _note_fairness(day)
        return entries.count()


def days_of(entries: QuerySet[LedgerEntry]) -> list[UsageDay]:
    """These entries rolled up; nothing is written."""
    dated = entries.order_by().annotate(day=TruncDate("at", tzinfo=UTC))
    sums = {name: Sum(name) for name in Sums.SUMS if name != "requests"}
    groups = dated.values(*_PERSONS_DAY).annotate(**sums, requests=Count("pk", filter=_IS_USE))
    rows = {_key(row, _PERSONS_DAY): UsageDay(**row) for row in groups}
    waited: dict[Key, list[int]] = defaultdict(lambda: [0] * waits.STRETCHES)
    stretches = dated.filter(_IS_USE).annotate(stretch=_stretch()).values(*_PERSONS_DAY, "stretch")
    for row in stretches.annotate(count=Count("pk")):
        waited[_key(row, _PERSONS_DAY)][row["stretch"]] = row["count"]
    for key, counts in waited.items():
        rows[key].waits = waits.total([counts])
    return list(rows.values())


def _stretch() -> Case:
    below = [When(waiting_ms__lt=bound, then=Value(number)) for number, bound in enumerate(waits.BOUNDS_MS)]
    return Case(*below, default=Value(len(waits.BOUNDS_MS)), output_field=IntegerField())


def _everybodys(row: UsageDay) -> BoxDay:
    return BoxDay(**{name: getattr(row, name) for name in (*_DAY, *Sums.SUMS, "waits")})


def _add(model: type[Day], names: Sequence[str], new: Iterable[Day]) -> None:
    """Add to the stored rows, which the fields `names` tell apart. Leaves the sums in `new`."""
    rows: dict[Key, Day] = {}
    for row in new:
        key = tuple(getattr(row, name) for name in names)
        rows[key] = _together(rows[key], row) if key in rows else row
    same = {f"{name}__in": {key[place] for key in rows} for place, name in enumerate(names)}
    for stored in model._default_manager.filter(**same):
        key = tuple(getattr(stored, name) for name in names)
        if key in rows:
            _together(rows[key], stored)
    model._default_manager.bulk_create(
        rows.values(), update_conflicts=True, unique_fields=names, update_fields=[*Sums.SUMS, "waits"]
    )


def _together(row: Day, other: Day) -> Day:
    for name in Sums.SUMS:
        setattr(row, name, getattr(row, name) + getattr(other, name))
    row.waits = waits.total([row.waits, other.waits])
    return row


def _key(row: dict[str, Any], names: Sequence[str]) -> Key:
    return tuple(row[name] for name in names)


def _note_fairness(day: date) -> None:
    """From the day's rows anew, so it may be done as often as one likes."""
    people = UsageDay.objects.filter(day=day).order_by().values("ledger_id")
    waited = people.annotate(waited=Sum("waiting_ms"), gpu=Sum("gpu_ms_charged")).filter(waited__gte=WAITED_MS)
    shares = [float(row["gpu"]) for row in waited]
    squares = sum(share * share for share in shares)
    told = {"people": len(shares), "gpu_ms": sum(shares), "gpu_ms_squares": squares}
    FairDay.objects.update_or_create(day=day, defaults=told)
