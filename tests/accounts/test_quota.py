"""Limits as people meet them: never more than allowed, however many ask at once."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import quota, tokens
from accounts.models import Group, QuotaCounter, QuotaLimit, Reservation, User
from accounts.quota import Amounts, QuotaExceeded
from tests.accounts.racing import race

ALLOWED = 20


def limit(user: User, unit: str = "requests", amount: int = ALLOWED, **fields: object) -> QuotaLimit:
    row = {"subject_kind": "user", "subject_id": user.pk, "window": "day"} | fields
    return QuotaLimit.objects.create(unit=unit, amount=amount, **row)


def reserve(user: User, amounts: Amounts | None = None, **fields: object) -> uuid.UUID:
    generation_id = uuid.uuid4()
    quota.reserve(
        user=user,
        token=fields.get("token"),  # type: ignore[arg-type]
        generation_id=generation_id,
        model_key=str(fields.get("model_key", "m")),
        amounts=amounts or Amounts(),
    )
    return generation_id


def counter() -> QuotaCounter:
    return QuotaCounter.objects.get()


def test_without_limits_one_reservation_is_written_and_settled(person: User) -> None:
    generation_id = reserve(person, Amounts(gpu_ms=900))
    quota.settle(generation_id, Amounts(gpu_ms=400))
    row = Reservation.objects.get(generation_id=generation_id)
    assert (row.counter_id, row.amount, row.actual, row.state) == (None, 900, 400, "settled")


def test_settling_replaces_the_estimate_by_what_was_used(person: User) -> None:
    limit(person, "output_tokens", 1000)
    generation_id = reserve(person, Amounts(output_tokens=600))
    assert (counter().used, counter().reserved) == (0, 600)
    quota.settle(generation_id, Amounts(output_tokens=150))
    assert (counter().used, counter().reserved) == (150, 0)


def test_settling_twice_counts_once(person: User) -> None:
    limit(person, "output_tokens", 1000)
    generation_id = reserve(person, Amounts(output_tokens=600))
    for _ in range(3):
        quota.settle(generation_id, Amounts(output_tokens=150))
    quota.release(generation_id)
    assert (counter().used, counter().reserved) == (150, 0)


def test_a_released_reservation_gives_everything_back(person: User) -> None:
    limit(person)
    quota.release(reserve(person))
    assert (counter().used, counter().reserved) == (0, 0)


def test_the_refusal_tells_what_is_left_and_until_when(person: User) -> None:
    limit(person, "output_tokens", 1000)
    reserve(person, Amounts(output_tokens=700))
    with pytest.raises(QuotaExceeded) as refused:
        reserve(person, Amounts(output_tokens=400))
    assert refused.value.left == 300
    assert timedelta() < refused.value.resets_at - timezone.now() <= timedelta(days=1)


def test_a_refusal_takes_nothing_from_any_limit(person: User) -> None:
    limit(person, "requests", 100)
    limit(person, "output_tokens", 10)
    with pytest.raises(QuotaExceeded):
        reserve(person, Amounts(output_tokens=11))
    assert sum(QuotaCounter.objects.values_list("reserved", flat=True)) == 0
    assert not Reservation.objects.exists()


def test_limits_of_group_token_model_and_everyone_count_and_others_do_not(person: User) -> None:
    person.main_group = Group.objects.create(name="lab")
    person.save()
    token, _secret = tokens.create(person, "script")
    other = User.objects.create_user("other")
    mine = [
        limit(person, subject_kind="group", subject_id=person.main_group.pk),
        limit(person, subject_kind="token", subject_id=token.pk),
        limit(person, subject_kind="everyone", subject_id=None),
        limit(person, model_key="m"),
    ]
    limit(other)
    limit(person, model_key="another")
    reserve(person, token=token)
    assert set(QuotaCounter.objects.values_list("limit_id", flat=True)) == {row.pk for row in mine}


def test_the_sweep_releases_what_nobody_settled(person: User) -> None:
    limit(person)
    reserve(person)
    assert quota.release_expired(timezone.now()) == 0
    assert quota.release_expired(timezone.now() + timedelta(hours=quota.OPEN_HOURS + 1)) == 1
    assert counter().reserved == 0


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_threads_that_ask_at_once_never_get_more_than_the_limit() -> None:
    person = User.objects.create_user("ann")
    limit(person)
    limit(person, "output_tokens", 10**6)

    def ask_ten_times(_number: int) -> int:
        granted = 0
        for _ in range(10):
            try:
                with transaction.atomic():
                    reserve(person, Amounts(output_tokens=5))
            except QuotaExceeded:
                continue
            granted += 1
        return granted

    assert sum(race(ask_ten_times, threads=8)) == ALLOWED
    assert sorted(QuotaCounter.objects.values_list("reserved", flat=True)) == [ALLOWED, ALLOWED * 5]


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_threads_that_settle_one_generation_count_it_once() -> None:
    person = User.objects.create_user("ann")
    limit(person, "output_tokens", 1000)
    generation_id = reserve(person, Amounts(output_tokens=600))
    race(lambda _number: quota.settle(generation_id, Amounts(output_tokens=150)), threads=8)
    assert (counter().used, counter().reserved) == (150, 0)


@given(
    now=st.datetimes(datetime(2024, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC)),
    window=st.sampled_from(QuotaLimit.Window.values),
    zone=st.sampled_from(["UTC", "Asia/Shanghai", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
)
def test_every_moment_lies_in_its_window_and_windows_do_not_overlap(now: datetime, window: str, zone: str) -> None:
    rule = QuotaLimit(window=window, time_zone=zone)
    start, end = quota.window_of(rule, now)
    assert start <= now < end
    assert quota.window_of(rule, end)[0] == end
    assert quota.window_of(rule, start) == (start, end)
