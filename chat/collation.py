"""Which model a card should have that can hold one of several: questions are collated by model, with a bound. Pure.

Published bound: a question for a cold model waits at most `MAX_WAIT_LOADS` + `MIN_RESIDENT_LOADS` loads of it, the
answers that still run, and one load, for each other model that was waited for earlier. Measured in simulation: an
eager bound (60 s each) costs everybody a quarter of the card; without one the rarer model waited for two hours.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_WAIT_LOADS: Final = 6
MIN_RESIDENT_LOADS: Final = 8
UNSEEN_LOAD_MS: Final = 30_000


@dataclass(frozen=True)
class Wanted:
    """A cold model: how long its oldest question waits, how long a load takes (None: never seen). ms."""

    wait_ms: int
    load_ms: int | None


@dataclass(frozen=True)
class Resident:
    """What lies in its way: for how long it has been there (ms), whether it answers, whether anybody waits for it."""

    id: int
    for_ms: int
    is_waited_for: bool
    is_answering: bool = True


def makes_way(wanted: Wanted, residents: Iterable[Resident]) -> bool:
    """Whether those that lie in its way get no more work from now on, so that they end and can be unloaded."""
    load = wanted.load_ms or UNSEEN_LOAD_MS
    return all(_gives_way(wanted.wait_ms, load, resident) for resident in residents)


def _gives_way(wait_ms: int, load_ms: int, resident: Resident) -> bool:
    has_had_its_time = resident.for_ms >= MIN_RESIDENT_LOADS * load_ms
    if not resident.is_waited_for:
        return has_had_its_time or not resident.is_answering
    return has_had_its_time and wait_ms >= MAX_WAIT_LOADS * load_ms


def bound_ms(load_ms: int, drain_ms: int) -> int:
    """The longest wait for a cold model, where no other one is waited for longer."""
    return (MAX_WAIT_LOADS + MIN_RESIDENT_LOADS + 1) * load_ms + drain_ms
