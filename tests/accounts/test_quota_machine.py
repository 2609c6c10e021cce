"""Whatever order wishes come, end, expire and days pass in: no limit is passed, nothing is lost or counted twice."""

from __future__ import annotations

import itertools
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from accounts import quota
from accounts.models import QuotaCounter, QuotaLimit, Reservation, User

ALLOWED = 100
START = datetime(2026, 3, 2, 12, tzinfo=UTC)
amounts = st.integers(0, 60)


@dataclass
class Wish:
    day: int
    estimate: int
    booked: int | None = None


class Limits(RuleBasedStateMachine):
    """One limit of tokens a day beside a model of it in plain numbers. Days are numbered from the start."""

    def __init__(self) -> None:
        super().__init__()
        self.savepoint = transaction.atomic()
        self.savepoint.__enter__()
        self.person = User.objects.create_user(uuid.uuid4().hex)
        self.limit = QuotaLimit.objects.create(
            subject_kind="user", subject_id=self.person.pk, unit="output_tokens", window="day", amount=ALLOWED
        )
        self.wishes: dict[uuid.UUID, Wish] = {}
        self.open: set[uuid.UUID] = set()
        self.held: set[uuid.UUID] = set()
        self.debts: dict[int, int] = {}
        self.day = 0
        self.numbers = itertools.count(1)  # the same draws must mean the same wishes

    def teardown(self) -> None:
        transaction.set_rollback(True)
        self.savepoint.__exit__(None, None, None)

    def used(self, day: int) -> int:
        return sum(wish.booked or 0 for wish in self.wishes.values() if wish.day == day)

    def aside(self, day: int) -> int:
        return sum(self.wishes[key].estimate for key in self.held if self.wishes[key].day == day)

    def debt(self) -> int:
        """Today's; yesterday's own is what it was when somebody last asked on that day."""
        over = self.used(self.day - 1) + self.debts.get(self.day - 1, 0) - ALLOWED
        return min(max(over, 0), ALLOWED // 2)

    @rule(estimate=amounts)
    def ask(self, estimate: int) -> None:
        key, debt = uuid.UUID(int=next(self.numbers)), self.debt()
        fits = self.used(self.day) + self.aside(self.day) + debt + estimate <= ALLOWED
        try:
            with self._at_noon(), transaction.atomic():
                quota.reserve(
                    user=self.person, token=None, generation_id=key, model_key="m",
                    amounts=quota.Amounts(output_tokens=estimate),
                )  # fmt: skip
        except quota.QuotaExceeded as refused:
            assert not fits and refused.left == max(0, ALLOWED - self.used(self.day) - self.aside(self.day) - debt)
            return
        assert fits
        self.wishes[key], self.debts[self.day] = Wish(self.day, estimate), debt
        self.open.add(key)
        self.held.add(key)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), actual=st.integers(0, 200), is_used=st.booleans())
    def end(self, data: st.DataObject, actual: int, is_used: bool) -> None:
        key = data.draw(st.sampled_from(sorted(self.open)))
        for _twice in range(2):
            if is_used:
                quota.settle(key, quota.Amounts(output_tokens=actual))
            else:
                quota.release(key)
        self.wishes[key].booked = actual if is_used else 0
        self.open.discard(key)
        self.held.discard(key)

    @rule()
    def sweep(self) -> None:
        with self._at_noon():
            quota.release_expired(timezone.now())
        self.held = {key for key in self.held if self.wishes[key].day >= self.day - 1}

    @rule(days=st.integers(1, 3))
    def sleep(self, days: int) -> None:
        self.day += days

    @invariant()
    def the_tables_say_the_same(self) -> None:
        rows = {row.window_start: row for row in QuotaCounter.objects.filter(limit=self.limit)}
        for start, row in rows.items():
            day = (start.date() - START.date()).days
            assert (row.used, row.reserved) == (self.used(day), self.aside(day))
        mine = Reservation.objects.filter(generation_id__in=list(self.wishes))
        assert set(mine.filter(state="open").values_list("generation_id", flat=True)) == self.held

    def _at_noon(self) -> patch:  # type: ignore[valid-type]
        return patch("django.utils.timezone.now", lambda: START + timedelta(days=self.day))


@pytest.mark.django_db
def test_limits_hold_in_every_order_of_events() -> None:
    calm = settings(max_examples=15, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck))
    run_state_machine_as_test(Limits, settings=calm)  # type: ignore[no-untyped-call]
