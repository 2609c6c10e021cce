"""What is told of a wait is what then happens: the line is run forward and then really served, by another hand."""

from __future__ import annotations

import heapq

from hypothesis import given
from hypothesis import strategies as st

from chat.collation import Resident, Wanted, bound_ms, makes_way
from chat.forecast import Service, Slot, forecast, left_of
from chat.line import Entry, Line

MS = st.integers(1, 50).map(lambda n: n * 100)
WISHES = st.lists(st.tuples(st.integers(1, 5), MS), min_size=1, max_size=25)


@given(WISHES, st.integers(1, 4))
def test_without_surprises_everybody_begins_when_he_was_told(wishes: list[tuple[int, int]], slots: int) -> None:
    line = Line(running_per_flow=2)
    for number, (flow, cost) in enumerate(wishes):
        line.enqueue(Entry(f"{number:03}", flow, "32b", cost=cost, seq=number))
    told = forecast(line, {"32b": [Slot()] * slots}, lambda entry: Service(entry.cost, 0))
    assert len(line) == len(wishes), "the line itself was left as it is"

    free, now, ahead = slots, 0.0, 0
    ends: list[tuple[float, int, str]] = []  # two that end at once do so in the order in which they began
    while len(line) or ends:
        while free and (entry := line.pick("32b")):
            line.take(entry.key)
            found = told[entry.key]
            assert (found.ahead, found.low_ms, found.high_ms) == (ahead, now, now)
            heapq.heappush(ends, (now + entry.cost, ahead, entry.key))
            free, ahead = free - 1, ahead + 1
        now, _order, key = heapq.heappop(ends)
        line.finish(key, line.charged(key))
        free += 1


def test_the_farther_back_the_wider_the_range() -> None:
    line = Line(running_per_flow=9)
    for number in range(6):
        line.enqueue(Entry(f"{number}", 1, "32b", cost=1_000, seq=number))
    told = forecast(line, {"32b": [Slot(500, 100)]}, lambda entry: Service(1_000, 300))
    widths = [told[f"{number}"].high_ms - told[f"{number}"].low_ms for number in range(6)]
    assert widths == sorted(widths)
    assert widths[0] == 493
    assert told["5"].low_ms < 5_500 < told["5"].high_ms


def test_who_waits_for_a_model_without_slots_is_told_no_time() -> None:
    line = Line(running_per_flow=9)
    line.enqueue(Entry("1", 1, "70b"))
    assert forecast(line, {"32b": [Slot()]}, lambda entry: Service(1, 0)) == {}


def test_an_answer_over_its_mean_is_not_told_to_end_now() -> None:
    assert left_of(Service(1_000, 500), 400).free_ms == 600
    assert left_of(Service(1_000, 500), 1_000).free_ms == 200
    assert left_of(Service(1_000, 500), 50_000) == Slot(10_000, 10_000), "slower than ever before"


def test_a_busy_model_makes_way_only_after_its_time_and_only_for_who_waited_long() -> None:
    minute = 60_000
    asked, loaded = Wanted(7 * minute, minute), Resident(1, 9 * minute, True)
    assert makes_way(asked, [loaded])
    assert not makes_way(Wanted(5 * minute, minute), [loaded])
    assert not makes_way(asked, [Resident(1, 7 * minute, True)])
    assert not makes_way(asked, [loaded, Resident(2, minute, True)])
    assert makes_way(Wanted(0, minute), [Resident(1, 9 * minute, False)]), "nobody waits for what is there"
    assert bound_ms(minute, 2 * minute) == 17 * minute
