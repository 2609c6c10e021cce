"""Limits as people meet them: never more than allowed, however many ask at once."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from accounts import quota, quota_standing, quota_windows, tokens
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


def left(user: User, model_key: str = "m", now: datetime | None = None) -> list[int]:
    return [each.left for each in quota_standing.read(user, None, model_key, now)]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets Django's clock."""

    def put(now: datetime) -> None:
        monkeypatch.setattr(timezone, "now", lambda: now)

    return put


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


def test_an_answer_that_ends_after_the_sweep_is_booked_all_the_same(person: User) -> None:
    limit(person, "output_tokens", 1000)
    generation_id = reserve(person, Amounts(output_tokens=600))
    quota.release_expired(timezone.now() + timedelta(hours=quota.OPEN_HOURS + 1))
    quota.settle(generation_id, Amounts(output_tokens=150))
    assert (counter().used, counter().reserved) == (150, 0)


def test_each_person_of_a_group_has_the_amount_or_all_share_it(person: User) -> None:
    lab = Group.objects.create(name="lab")
    people = [person, User.objects.create_user("bob")]
    for each in people:
        each.main_group = lab
        each.save()
    rule = limit(person, amount=1, subject_kind="group", subject_id=lab.pk, is_each=True)
    for each in people:
        reserve(each)
        with pytest.raises(QuotaExceeded):
            reserve(each)
    rule.delete()
    limit(person, amount=1, subject_kind="group", subject_id=lab.pk)
    reserve(people[0])
    with pytest.raises(QuotaExceeded):
        reserve(people[1])


def test_a_grant_adds_to_its_persons_limits_until_it_ends(person: User, clock: Callable[[datetime], None]) -> None:
    other, ends_at = User.objects.create_user("bob"), timezone.now() + timedelta(days=1)
    limit(person, amount=2, subject_kind="everyone", subject_id=None, is_each=True, window="month")
    shared = limit(person, amount=4, subject_kind="everyone", subject_id=None, window="month")
    limit(person, amount=5, is_grant=True, ends_at=ends_at, window="month")
    assert (left(person), left(other)) == ([7, 4], [2, 4])
    assert left(person, now=ends_at) == [2, 4]
    for wrong in ({"unit": "output_tokens"}, {"window": "week"}, {"model_key": "m"}):
        limit(person, amount=9, is_grant=True, **{"window": "month"} | wrong)
    assert left(person) == [7, 4]
    shared.delete()
    for _ in range(7):
        reserve(person)
    with pytest.raises(QuotaExceeded):
        reserve(person)


def test_a_limit_counts_from_its_start_to_its_end(person: User) -> None:
    now = timezone.now()
    limit(person, amount=0, starts_at=now + timedelta(hours=1))
    limit(person, amount=0, ends_at=now)
    reserve(person)
    assert left(person, now=now + timedelta(hours=2)) == [0]


def test_a_budget_for_clouds_refuses_only_what_costs_money(person: User) -> None:
    limit(person, "cost_micro", 500)
    limit(person, "gpu_ms", 500)
    quota.settle(reserve(person, Amounts(cost_micro=500)), Amounts(cost_micro=900))
    quota.settle(reserve(person, Amounts(gpu_ms=500)), Amounts(gpu_ms=900))
    for unit in ("cost_micro", "gpu_ms"):
        with pytest.raises(QuotaExceeded) as refused:
            reserve(person, Amounts(**{unit: 1}))
        assert refused.value.limit.unit == unit


def test_so_many_are_open_at_once_and_an_end_makes_room(person: User) -> None:
    limit(person, "running", 2)
    first = reserve(person)
    reserve(person)
    with pytest.raises(QuotaExceeded) as refused:
        reserve(person)
    assert (refused.value.resets_at, refused.value.retry_after) == (None, quota.RUNNING_RETRY_SECONDS)
    quota.settle(first, Amounts(output_tokens=9))
    assert left(person) == [1]


def test_several_windows_count_at_once_and_the_last_to_reset_is_told(person: User) -> None:
    for window in ("hour", "day", "month"):
        limit(person, amount=1, window=window)
    limit(person, amount=9, window="week")
    reserve(person)
    with pytest.raises(QuotaExceeded) as refused:
        reserve(person)
    assert refused.value.limit.window == "month"


def test_what_goes_beyond_is_paid_by_the_next_window_up_to_its_half(
    person: User, clock: Callable[[datetime], None]
) -> None:
    limit(person, "gpu_ms", 1000)
    noon = datetime(2026, 3, 3, 12, tzinfo=UTC)
    for hours, used, left_before in ((0, 1200, 1000), (24, 1900, 800), (48, 0, 500), (72, 0, 1000)):
        clock(noon + timedelta(hours=hours))
        assert left(person) == [left_before], hours
        generation_id = reserve(person, Amounts(gpu_ms=400))
        assert left(person) == [left_before - 400]
        quota.settle(generation_id, Amounts(gpu_ms=used))


def test_an_answer_that_outlasts_its_window_leaves_its_debt_to_the_next(
    person: User, clock: Callable[[datetime], None]
) -> None:
    limit(person, "gpu_ms", 1000)
    clock(datetime(2026, 3, 3, 23, 59, tzinfo=UTC))
    late = reserve(person, Amounts(gpu_ms=900))
    clock(datetime(2026, 3, 4, 0, 1, tzinfo=UTC))
    reserve(person, Amounts(gpu_ms=700))
    quota.settle(late, Amounts(gpu_ms=1300))
    with pytest.raises(QuotaExceeded):
        reserve(person, Amounts(gpu_ms=1))


def test_windows_follow_the_limits_own_zone_over_a_change_of_the_clocks(
    person: User, clock: Callable[[datetime], None]
) -> None:
    """In Berlin 25 October 2026 has 25 hours. What zone the person chooses, and when, moves nothing."""
    limit(person, amount=1, time_zone="Europe/Berlin")
    for at, fits in (
        ("2026-10-24T21:59", True), ("2026-10-24T22:00", True), ("2026-10-25T22:59", False), ("2026-10-25T23:00", True),
    ):  # fmt: skip
        clock(datetime.fromisoformat(at).replace(tzinfo=UTC))
        User.objects.filter(pk=person.pk).update(time_zone="Asia/Tokyo" if fits else "America/New_York")
        person.refresh_from_db()
        assert left(person) == [int(fits)]
        if fits:
            reserve(person)


def test_a_group_that_goes_while_its_members_wait_lets_them_end(person: User) -> None:
    lab = Group.objects.create(name="lab")
    person.main_group = lab
    person.save()
    rule = limit(person, subject_kind="group", subject_id=lab.pk)
    own = limit(person, "output_tokens", 1000)
    generation_id = reserve(person, Amounts(output_tokens=600))
    person.main_group = None
    person.save()
    lab.delete()
    assert not QuotaLimit.objects.filter(pk=rule.pk).exists()
    quota.settle(generation_id, Amounts(output_tokens=150))
    row = counter()
    assert (row.limit_id, row.used, row.reserved) == (own.pk, 150, 0)
    assert not Reservation.objects.filter(state="open").exists()


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
    start, end = quota_windows.window_of(rule, now)
    assert start <= now < end
    assert quota_windows.window_of(rule, end)[0] == end
    assert quota_windows.window_of(rule, start) == (start, end)
