"""Which replica takes an answer, and why none does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.engines.placement import Nowhere, Replica, Why, Wish, place, taken

IDLE, BUSY, FULL = Replica(1, 4, 0), Replica(2, 4, 3), Replica(3, 4, 4)
RESTING, TRIED = Replica(6, 4, 0, is_resting=True, is_on_trial=True), Replica(7, 4, 0, is_on_trial=True)
COLD, CLOUD = Replica(4, 4, 0, is_warm=False), Replica(5, 16, 0, is_cloud=True)


@pytest.mark.parametrize(
    ("wish", "replicas", "expected"),
    [
        (Wish(), [BUSY, IDLE], 1),
        (Wish(previous=2), [BUSY, IDLE], 2),
        (Wish(previous=3), [BUSY, IDLE, FULL], 1),
        (Wish(previous=4), [BUSY, COLD], 2),
        (Wish(), [CLOUD, BUSY], 2),
        (Wish(previous=5), [CLOUD, BUSY], 2),
        (Wish(), [CLOUD, FULL], 5),
        (Wish(previous=6), [RESTING, BUSY], 2),
        (Wish(previous=7), [TRIED, BUSY], 7),
        (Wish(previous=7), [*taken([TRIED], TRIED), BUSY], 2),
    ],
    ids=[
        "least loaded",
        "where it was",
        "not if full",
        "not if cold",
        "home first",
        "home before habit",
        "else cloud",
        "not while it rests",
        "one question on trial",
        "one only",
    ],
)
def test_the_best_of_those_that_can(wish: Wish, replicas: list[Replica], expected: int) -> None:
    found = place(wish, replicas)
    assert isinstance(found, Replica) and found.id == expected


def test_nowhere_says_why_of_each() -> None:
    found = place(Wish(stays_home=True), [FULL, COLD, CLOUD])
    assert found == Nowhere({3: Why.FULL, 4: Why.NOT_WARM, 5: Why.CLOUD})
    assert isinstance(found, Nowhere) and not found.is_forbidden


def test_only_clouds_for_what_must_stay_at_home_is_forbidden_not_full() -> None:
    found = place(Wish(stays_home=True), [CLOUD])
    assert isinstance(found, Nowhere) and found.is_forbidden
    assert not Nowhere({}).is_forbidden, "no replica at all is waited for"


REPLICAS = st.lists(
    st.builds(
        Replica, st.integers(1, 9), st.integers(1, 8), st.integers(0, 8), is_warm=st.booleans(), is_cloud=st.booleans()
    ),
    max_size=6,
    unique_by=lambda replica: replica.id,
)


@given(REPLICAS, st.integers(0, 9), st.booleans(), st.integers(0, 40))
def test_no_replica_is_ever_overfilled_and_nothing_private_leaves(
    replicas: list[Replica], previous: int, stays_home: bool, count: int
) -> None:
    before = {replica.id: replica for replica in replicas}
    wish = Wish(previous or None, stays_home)
    for _ in range(count):
        found = place(wish, replicas)
        if isinstance(found, Nowhere):
            assert set(found.reasons) == set(before)
            break
        assert found.is_warm and found.busy < found.slots and not (stays_home and found.is_cloud)
        replicas = taken(replicas, found)
    assert all(each.busy <= max(each.slots, before[each.id].busy) for each in replicas)


@given(REPLICAS, st.integers(0, 40))
def test_load_is_spread_evenly_over_equal_replicas(replicas: list[Replica], count: int) -> None:
    equal = [Replica(replica.id, 8, 0) for replica in replicas]
    for _ in range(count):
        found = place(Wish(), equal)
        if isinstance(found, Replica):
            equal = taken(equal, found)
    assert not equal or max(each.busy for each in equal) - min(each.busy for each in equal) <= 1
