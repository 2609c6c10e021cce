"""Adds the ledger up by day: for each person (UsageDay, PersonDay), for the box (BoxDay), and how alike the
day was (FairDay).

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

from accounts import ledger, waits
from accounts.ledger_models import BoxDay, FairDay, LedgerEntry, PersonDay, Sums, UsageDay, UsageMark

NAME = "days"
BATCH = 5000
# Inserts take milliseconds; while this waits for them, others wait behind it.
BARRIER_MS = 500
# Who waited less than this on a day had all he asked for and says nothing about the line.
WAITED_MS = 60_000
_DAY: Final = ("day", "model_key", "source", "currency")
_PERSONS_DAY: Final = ("ledger_id", *_DAY)
_IS_USE = Q(key__endswith="/use")

Day = TypeVar("Day", UsageDay, PersonDay, BoxDay)
Key = tuple[Any, ...]


def sweep(batch: int = BATCH) -> int:
    """Book one batch of entries; how many were new, and 0 where somebody else booked them."""
    mark, _made = UsageMark.objects.get_or_create(name=NAME)
    begin = mark.ledger_entry_id
    end = _settled_id(begin)
    if end is None:
        return 0
    return _book(begin, _last_of_batch(begin, end, batch))


def catch_up(batch: int = BATCH) -> int:
    """Book all there is; the number of entries."""
    booked = 0
    while new := sweep(batch):
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
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [ledger.BARRIER])
            return _newest(newer)
    except OperationalError:
        return None


def _newest(rows: QuerySet[LedgerEntry]) -> int | None:
    newest: int | None = rows.aggregate(id=Max("pk"))["id"]
    return newest


def _last_of_batch(begin: int, end: int, batch: int) -> int:
    following = LedgerEntry.objects.filter(pk__gt=begin, pk__lte=end).order_by("pk").values_list("pk", flat=True)
    return following[batch - 1 : batch].first() or end


def _book(begin: int, end: int) -> int:
    with transaction.atomic():
        mark = UsageMark.objects.filter(name=NAME, ledger_entry_id=begin)
        # First of all: it takes the row's lock, so what follows reads sums that nobody else writes.
        if not mark.update(ledger_entry_id=end):
            return 0
        entries = LedgerEntry.objects.filter(pk__gt=begin, pk__lte=end)
        new = days_of(entries)
        people = [_part(PersonDay, ("day", "ledger_id", *PersonDay.SUMS), row) for row in new]
        together = [_part(BoxDay, (*_DAY, *BoxDay.SUMS), row) for row in new]
        _add(UsageDay, _PERSONS_DAY, new)
        _add(PersonDay, ("day", "ledger_id"), people)
        _add(BoxDay, _DAY, together)
        for day in {row.day for row in new}:
            _note_fairness(day)
        return entries.count()


def days_of(entries: QuerySet[LedgerEntry]) -> list[UsageDay]:
    """These entries rolled up; nothing is written."""
    dated = entries.order_by().annotate(day=TruncDate("at", tzinfo=UTC))
    sums = {name: Sum(name) for name in Sums.SUMS if name not in ("requests", "waits")}
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


def _part(model: type[Day], names: Sequence[str], row: UsageDay) -> Day:
    return model(**{name: getattr(row, name) for name in names})


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
        rows.values(), update_conflicts=True, unique_fields=names, update_fields=model.SUMS
    )


def _together(row: Day, other: Day) -> Day:
    for name in row.SUMS:
        mine, others = getattr(row, name), getattr(other, name)
        setattr(row, name, waits.total([mine, others]) if name == "waits" else mine + others)
    return row


def _key(row: dict[str, Any], names: Sequence[str]) -> Key:
    return tuple(row[name] for name in names)


def _note_fairness(day: date) -> None:
    """From the day's rows anew, so it may be done as often as one likes."""
    waited = PersonDay.objects.filter(day=day, waiting_ms__gte=WAITED_MS)
    shares = [float(gpu_ms) for gpu_ms in waited.values_list("gpu_ms_charged", flat=True)]
    squares = sum(share * share for share in shares)
    told = {"people": len(shares), "gpu_ms": sum(shares), "gpu_ms_squares": squares}
    FairDay.objects.update_or_create(day=day, defaults=told)
