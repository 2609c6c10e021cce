"""Whether the roll-ups are what the ledger says, day by day, to the last token."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime, time, timedelta

from django.db import transaction
from django.db.models import Max, Min

from accounts import rollup
from accounts.models import BoxDay, LedgerEntry, UsageDay, UsageMark

Sums = dict[str, int]


def differences() -> Iterator[str]:
    """Sentences, one for each number that should not be. Days are compared one by one, so nobody waits for long."""
    ends = LedgerEntry.objects.aggregate(first=Min("at"), last=Max("at"))
    rolled = UsageDay.objects.aggregate(first=Min("day"), last=Max("day"))
    days = [at.astimezone(UTC).date() for at in ends.values() if at] + [day for day in rolled.values() if day]
    if days:
        for number in range((max(days) - min(days)).days + 1):
            yield from _of_day(min(days) + timedelta(days=number))


def _of_day(day: date) -> Iterator[str]:
    begin = datetime.combine(day, time(), UTC)
    with transaction.atomic():
        # While it is held no sweep adds anything.
        mark = UsageMark.objects.select_for_update().filter(name=rollup.NAME).first()
        entries = LedgerEntry.objects.filter(
            pk__lte=mark.ledger_entry_id if mark else 0, at__gte=begin, at__lt=begin + timedelta(days=1)
        )
        booked = {_name(row): row for row in rollup.days_of(entries)}
        stored = {_name(row): row for row in UsageDay.objects.filter(day=day)}
        box = _sums(BoxDay.objects.filter(day=day))
    for name in sorted(booked.keys() | stored.keys()):
        yield from _compared(
            f"{day} {name}", "ledger", _sums_of(booked.get(name)), "roll-up", _sums_of(stored.get(name))
        )
    yield from _compared(f"{day} everybody", "ledger", _sums(booked.values()), "roll-up of the box", box)


def _name(row: UsageDay) -> str:
    return " ".join(filter(None, (str(row.ledger_id), row.model_key, row.source, row.currency)))


def _sums_of(row: UsageDay | None) -> Sums:
    return _sums([row] if row else [])


def _sums(rows: Iterable[UsageDay | BoxDay]) -> Sums:
    found: Sums = defaultdict(int)
    for row in rows:
        for name in row.SUMS:
            found[name] += sum(row.waits) if name == "waits" else getattr(row, name)
    return found


def _compared(what: str, one: str, mine: Sums, other: str, others: Sums) -> Iterator[str]:
    for name in UsageDay.SUMS:
        if mine[name] != others[name]:
            yield f"{what}: {name} {mine[name]} in the {one}, {others[name]} in the {other}"
