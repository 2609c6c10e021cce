"""What has to go so that a model fits: as little as will do, never what is in use or pinned."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.loads.room import Card, Need, NoRoom, Resident, Room, Why, make_room, without

GIB = 1 << 30
OLD, MIDDLE, NEW = (Resident(number, 10 * GIB, used_at=number) for number in (1, 2, 3))
FULL = [Card(30 * GIB, 0)]


@pytest.mark.parametrize(
    ("need", "cards", "residents", "found"),
    [
        pytest.param(8, [Card(30 * GIB, 9 * GIB)], [OLD], Room(), id="it fits beside all"),
        pytest.param(8, FULL, [NEW, OLD, MIDDLE], Room((1,)), id="the least recently used goes"),
        pytest.param(18, FULL, [NEW, OLD, MIDDLE], Room((1, 2)), id="two go"),
        pytest.param(
            8, FULL, [Resident(1, 2 * GIB, 1), Resident(2, 10 * GIB, 2)], Room((2,)), id="a small one need not go too"
        ),
        pytest.param(8, FULL, [Resident(1, 10 * GIB, 1, is_busy=True), NEW], Room((3,)), id="what answers stays"),
        pytest.param(8, FULL, [Resident(1, 10 * GIB, 1, is_pinned=True), NEW], Room((3,)), id="a pin holds"),
        pytest.param(8, FULL, [Resident(1, 9 * GIB, 1, is_busy=True)], NoRoom(Why.IN_USE), id="all answer"),
        pytest.param(8, FULL, [Resident(1, 9 * GIB, 1, is_pinned=True)], NoRoom(Why.PINNED), id="all pinned"),
        pytest.param(40, FULL, [OLD, MIDDLE, NEW], NoRoom(Why.TOO_BIG), id="it never fits"),
        pytest.param(40, [Card(30 * GIB, 30 * GIB)], [], NoRoom(Why.TOO_BIG), id="it does not fit an empty one"),
    ],
)
def test_room_is_made(need: int, cards: list[Card], residents: list[Resident], found: Room | NoRoom) -> None:
    assert make_room(Need(need * GIB), cards, residents) == found


def test_a_need_of_whole_cards_gets_the_roomiest_and_clears_those() -> None:
    cards = [Card(24 * GIB, 1 * GIB), Card(24 * GIB, 23 * GIB), Card(24 * GIB, 2 * GIB)]
    residents = [
        Resident(1, 20 * GIB, used_at=2, cards=(0,)),
        Resident(2, 21 * GIB, used_at=1, cards=(2,)),
    ]
    assert make_room(Need(22 * GIB, cards=2), cards, residents) == Room((2,), (1, 2))


def test_a_look_that_is_old_does_not_promise_what_was_loaded_since() -> None:
    loaded_since = [Resident(1, 20 * GIB, used_at=1)]
    assert without([Card(24 * GIB, 24 * GIB)], loaded_since) == [Card(24 * GIB, 4 * GIB)]


@given(
    need=st.integers(0, 60),
    free=st.lists(st.integers(0, 24), min_size=1, max_size=4),
    sizes=st.lists(st.tuples(st.integers(0, 24), st.booleans(), st.booleans()), max_size=6),
)
def test_what_goes_is_enough_idle_and_never_more_than_needed(
    need: int, free: list[int], sizes: list[tuple[int, bool, bool]]
) -> None:
    cards = [Card(48, each) for each in free]
    residents = [Resident(n, size, n, is_busy=busy, is_pinned=pin) for n, (size, busy, pin) in enumerate(sizes)]
    found = make_room(Need(need), cards, residents)
    if isinstance(found, NoRoom):
        return
    gone = [residents[each] for each in found.unloads]
    assert not any(each.is_busy or each.is_pinned for each in gone)
    assert sum(free) + sum(each.bytes for each in gone) >= need
    for each in gone:
        assert not isinstance(make_room(Need(need), cards, [r for r in gone if r is not each]), Room)
