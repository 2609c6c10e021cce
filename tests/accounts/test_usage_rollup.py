"""The ledger added up by day: once, whole, whatever comes late and whoever else sweeps."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection, transaction
from django.db.models import Sum

from accounts import ledger, rollup
from accounts.models import BoxDay, FairDay, LedgerEntry, UsageDay
from tests.accounts.racing import race

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
ANN, BOB = uuid.UUID(int=1), uuid.UUID(int=2)


def use(key: str, **fields: Any) -> None:
    fields = {"at": NOON, "ledger_id": ANN, "model_key": "r1", "source": "web", "answer_tokens": 5, **fields}
    ledger.record(ledger.Use(key=f"{key}/use", **fields))


@pytest.mark.django_db
def test_entries_are_added_up_by_utc_day_person_model_and_door() -> None:
    use("a/1", waiting_ms=300)
    use("b/1", waiting_ms=3000, thinking_tokens=2)
    use("c/1", at=NOON + timedelta(hours=12))
    use("d/1", ledger_id=BOB, source="api")
    assert rollup.catch_up() == 4
    use("e/1", waiting_ms=3000)
    ledger.record(
        ledger.Use(key="e/1/correction", at=NOON, ledger_id=ANN, model_key="r1", source="web", answer_tokens=-4)
    )
    assert (rollup.catch_up(), rollup.catch_up()) == (2, 0)
    today = UsageDay.objects.get(ledger_id=ANN, day=NOON.date())
    assert (today.requests, today.thinking_tokens, today.answer_tokens, today.waiting_ms) == (3, 2, 11, 6300)
    assert today.waits == [0, 0, 1, 0, 0, 2][: len(today.waits)] and sum(today.waits) == 3
    assert UsageDay.objects.count() == 3
    assert BoxDay.objects.aggregate(all=Sum("answer_tokens"))["all"] == 21


@pytest.mark.django_db
def test_a_day_is_fair_when_those_who_waited_got_the_same() -> None:
    long, short = rollup.WAITED_MS, rollup.WAITED_MS - 1
    use("a/1", waiting_ms=long, gpu_ms_charged=900)
    use("b/1", waiting_ms=long, gpu_ms_charged=900, ledger_id=BOB)
    use("c/1", waiting_ms=short, gpu_ms_charged=1, ledger_id=uuid.UUID(int=3))
    rollup.catch_up()
    day = FairDay.objects.get()
    assert (day.people, day.gpu_ms**2 / (day.people * day.gpu_ms_squares)) == (2, 1.0)


@pytest.mark.django_db
def test_what_does_not_add_up_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    use("a/1")
    call_command("check_ledger")
    assert "add up" in capsys.readouterr().out
    UsageDay.objects.update(answer_tokens=6)
    with pytest.raises(CommandError):
        call_command("check_ledger")
    assert f"2026-11-24 {ANN} r1 web: answer_tokens 5 in the ledger, 6 in the roll-up" in capsys.readouterr().out


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_several_sweepers_each_entry_is_added_once() -> None:
    for number in range(60):
        use(f"{number}/1")
    rollup.sweep()  # makes the mark
    for number in range(60, 90):
        use(f"{number}/1")
    booked = race(lambda _number: rollup.catch_up(), threads=4)
    assert sum(booked) == 30
    assert UsageDay.objects.get().answer_tokens == BoxDay.objects.get().answer_tokens == 450


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_an_entry_whose_id_appears_late_is_not_lost() -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite's ids are in the order of commits")
    begun, may_end = threading.Event(), threading.Event()

    def slow() -> None:
        with transaction.atomic():
            use("slow/1")
            begun.set()
            may_end.wait(30)
        connection.close()

    thread = threading.Thread(target=slow)
    thread.start()
    begun.wait(30)
    use("quick/1")
    assert rollup.catch_up() == 0  # the one before it is under way
    may_end.set()
    thread.join()
    assert rollup.catch_up() == 2
    assert LedgerEntry.objects.order_by("pk").values_list("key", flat=True).first() == "slow/1/use"
