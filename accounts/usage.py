"""What was used in a time, from the roll-ups alone: by a person, by the box, by whom most, and how fairly."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

from django.db.models import Sum

from accounts import ledger, waits
from accounts.models import BoxDay, FairDay, PersonDay, UsageDay, User

MICRO = 1_000_000
Days = Sequence[UsageDay] | Sequence[BoxDay]


@dataclass(frozen=True)
class Period:
    """Days of UTC, both ends included."""

    first: date
    last: date

    @classmethod
    def of_days(cls, count: int) -> Period:
        """The last `count` days up to today."""
        today = datetime.now(UTC).date()
        return cls(today - timedelta(days=count - 1), today)

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True)
class Total:
    """Sums over some days. `costs` are millionths by currency, `waits` as in accounts/waits.py."""

    requests: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    unsent_thinking_tokens: int = 0
    gpu_ms: int = 0
    gpu_ms_measured: int = 0
    costs: tuple[tuple[str, int], ...] = ()
    waits: tuple[int, ...] = ()

    @property
    def output_tokens(self) -> int:
        return self.thinking_tokens + self.answer_tokens

    def waited_ms(self, share: float) -> int | None:
        return waits.quantile_ms(self.waits, share)


@dataclass(frozen=True)
class PersonUse:
    """`name` is '' once the person is deleted: nobody can tell any more whose number it was.

    `is_site`: what the site did by itself, in idle time.
    """

    name: str
    requests: int
    output_tokens: int
    gpu_ms: int
    waited_ms: int
    is_site: bool = False


@dataclass(frozen=True)
class Fairness:
    """Jain's index over the GPU time of those who waited, a mean over `days`: 1 = all the same, 1/n = one had all."""

    index: float
    days: int


def of_person(ledger_id: UUID, period: Period) -> list[UsageDay]:
    rows = UsageDay.objects.filter(ledger_id=ledger_id, day__range=(period.first, period.last))
    return list(rows.order_by("day", "model_key", "source", "currency"))


def of_box(period: Period) -> list[BoxDay]:
    rows = BoxDay.objects.filter(day__range=(period.first, period.last))
    return list(rows.order_by("day", "model_key", "source", "currency"))


def total(rows: Iterable[UsageDay | BoxDay]) -> Total:
    found = list(rows)
    costs: dict[str, int] = defaultdict(int)
    for row in found:
        costs[row.currency] += row.cost_micro
    return Total(
        requests=sum(row.requests for row in found),
        prompt_tokens=sum(row.prompt_tokens for row in found),
        cached_tokens=sum(row.cached_tokens for row in found),
        thinking_tokens=sum(row.thinking_tokens for row in found),
        answer_tokens=sum(row.answer_tokens for row in found),
        unsent_thinking_tokens=sum(row.unsent_thinking_tokens for row in found),
        gpu_ms=sum(row.gpu_ms_charged for row in found),
        gpu_ms_measured=sum(row.gpu_ms_measured for row in found),
        costs=tuple(sorted((currency, micro) for currency, micro in costs.items() if currency and micro)),
        waits=tuple(waits.total(row.waits for row in found)),
    )


def by_model(rows: Days) -> list[tuple[str, Total]]:
    """Model key → sums, the most used first."""
    found: dict[str, list[UsageDay | BoxDay]] = defaultdict(list)
    for row in rows:
        found[row.model_key].append(row)
    sums = [(key, total(mine)) for key, mine in found.items()]
    return sorted(sums, key=lambda each: (-each[1].gpu_ms, -each[1].output_tokens, each[0]))


def by_day(rows: Days) -> list[tuple[date, Total]]:
    """Days with use, the newest first."""
    return _by([(row.day, row) for row in rows])


def by_month(rows: Days) -> list[tuple[date, Total]]:
    """The first day of each month with use, the newest first."""
    return _by([(row.day.replace(day=1), row) for row in rows])


def _by(rows: Iterable[tuple[date, UsageDay | BoxDay]]) -> list[tuple[date, Total]]:
    found: dict[date, list[UsageDay | BoxDay]] = defaultdict(list)
    for begin, row in rows:
        found[begin].append(row)
    return [(begin, total(found[begin])) for begin in sorted(found, reverse=True)]


def people(period: Period) -> list[PersonUse]:
    """Everybody who used the box, the most GPU time first."""
    rows = PersonDay.objects.filter(day__range=(period.first, period.last)).order_by().values_list("ledger_id")
    sums = rows.annotate(
        Sum("requests"), Sum("thinking_tokens"), Sum("answer_tokens"), Sum("gpu_ms_charged"), Sum("waiting_ms")
    )  # fmt: skip
    names = dict(User.objects.values_list("ledger_id", "username"))
    found = [
        PersonUse(names.get(ledger_id, ""), requests, thinking + answer, gpu_ms, waiting_ms, ledger_id == ledger.SITE)
        for ledger_id, requests, thinking, answer, gpu_ms, waiting_ms in sums
    ]
    return sorted(found, key=lambda each: (-each.gpu_ms, -each.output_tokens, each.name))


def fairness(period: Period) -> Fairness | None:
    """None where on no day two or more had to wait."""
    rows = FairDay.objects.filter(day__range=(period.first, period.last), people__gte=2, gpu_ms_squares__gt=0)
    found = [row.gpu_ms**2 / (row.people * row.gpu_ms_squares) for row in rows]
    return Fairness(sum(found) / len(found), len(found)) if found else None
