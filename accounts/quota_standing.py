"""How far each limit of a person is used: read by the guard and by the pages that explain it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q
from django.utils import timezone

from accounts import quota_debt, quota_rules
from accounts.models import ApiToken, QuotaCounter, QuotaLimit, User
from accounts.quota_rules import Rule

# Of a limit; from there on its person is warned.
WARN_FROM = 0.8


@dataclass(frozen=True)
class Standing:
    """A limit in its running window, in the limit's unit. `debt` is what the window before took too much."""

    rule: Rule
    used: int = 0
    reserved: int = 0
    debt: int = 0
    counter_id: int | None = None

    @property
    def limit(self) -> QuotaLimit:
        return self.rule.limit

    @property
    def allowed(self) -> int:
        return self.rule.allowed

    @property
    def taken(self) -> int:
        """All that is gone of the window: used, put aside for what is open, and debt."""
        return self.used + self.reserved + self.debt

    @property
    def left(self) -> int:
        return max(self.allowed - self.taken, 0)

    @property
    def is_counted_now(self) -> bool:
        """It has no window: something ends, and there is room."""
        return self.limit.unit == QuotaLimit.Unit.RUNNING

    @property
    def resets_at(self) -> datetime | None:
        """None where what is open now is counted."""
        return None if self.is_counted_now else self.rule.end

    def fits(self, amount: int) -> bool:
        return amount <= self.allowed - self.taken


def read(user: User, token: ApiToken | None, model_key: str, now: datetime | None = None) -> list[Standing]:
    """Every limit that binds a wish for this model; writes nothing."""
    return of(quota_rules.rules(user, token, model_key, now or timezone.now()))


def of(rules: Sequence[Rule]) -> list[Standing]:
    """In the order of the rules."""
    counters = {(row.limit_id, row.holder_id, row.window_start): row for row in _counters(rules)}
    before = {(row.limit_id, row.holder_id, row.window_end): row for row in counters.values()}
    return [
        _standing(
            rule,
            counters.get((rule.limit.pk, rule.holder_id, rule.start)),
            before.get((rule.limit.pk, rule.holder_id, rule.start)),
        )
        for rule in rules
    ]


def _standing(rule: Rule, counter: QuotaCounter | None, before: QuotaCounter | None) -> Standing:
    debt = quota_debt.carried(before, rule.allowed)
    if counter is None:
        return Standing(rule, debt=debt)
    return Standing(rule, counter.used, counter.reserved, debt, counter.pk)


def _counters(rules: Iterable[Rule]) -> Iterable[QuotaCounter]:
    """Those of the running windows and of the windows before."""
    wanted = Q(pk__in=[])
    for rule in rules:
        mine = Q(limit_id=rule.limit.pk, holder_id=rule.holder_id)
        wanted |= mine & (Q(window_start=rule.start) | Q(window_end=rule.start))
    return QuotaCounter.objects.filter(wanted)
