"""When each of the line will run: the line run forward on a copy, with lengths and rates as they were seen. Pure.

Times are ms from now. A wait is told as a range: the spreads of all answers that have to end before it are added up
as if they were independent, and the range reaches to nine in ten of what such a sum does, on its late side farther.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from chat.line import Entry, Key, Line

NINE_IN_TEN: Final = 1.645  # standard deviations to both sides of a normal distribution's mean
# Who asks later and has used less goes first, so waits end late more often than early: in simulation (bench/fairness)
# a range as far to both sides held 76 to 90 % of the waits of a busy box.
LATE_SIDE: Final = 2.0
# Who is farther back is told his place alone: the run forward costs some 0.1 ms a step.
MOST_STEPS: Final = 1_000
# A mean distance of 1 is a standard deviation of so much, for a normal distribution.
DEVIATION: Final = 1.25
LEAST_SPREAD: Final = 0.1
# Of the time that an answer has run, at least so much is reckoned to be left: an engine that is slower than ever shows
# in nothing else.
OVERDUE: Final = 0.2


@dataclass(frozen=True)
class Slot:
    """A slot of a model, free in `free_ms` (0: now), give or take `spread_ms`; `holder` is the answer in it."""

    free_ms: float = 0.0
    spread_ms: float = 0.0
    holder: Key = ""


@dataclass(frozen=True)
class Service:
    """How long an answer holds its slot: mean and standard deviation."""

    ms: float
    spread_ms: float


@dataclass(frozen=True)
class Forecast:
    """`ahead` go before it to the same model; it begins between `low_ms` and `high_ms`."""

    ahead: int
    low_ms: int
    high_ms: int


Serves: TypeAlias = Callable[[Entry], Service]
_Event: TypeAlias = tuple[float, int, float, str, Key]  # ms, order, variance, model, holder


def forecast(line: Line, slots: Mapping[str, Sequence[Slot]], serves: Serves) -> dict[Key, Forecast]:
    """Of all whose model has slots, as far as the run goes; `slots` by model. `line` is left as it is."""
    run = _Run(line.copy(), serves)
    for model, each in slots.items():
        for slot in each:
            run.add(slot.free_ms, slot.spread_ms**2, model, slot.holder)
    return run.forward()


class _Run:
    def __init__(self, line: Line, serves: Serves) -> None:
        self._line, self._serves = line, serves
        self._events: list[_Event] = []
        self._order = itertools.count()
        self._idle: list[tuple[str, float]] = []  # model, variance
        self._ahead: dict[str, int] = {}
        self._found: dict[Key, Forecast] = {}

    def add(self, ms: float, variance: float, model: str, holder: Key) -> None:
        heapq.heappush(self._events, (ms, next(self._order), variance, model, holder))

    def forward(self) -> dict[Key, Forecast]:
        while self._events and len(self._line) and len(self._found) < MOST_STEPS:
            now, _order, variance, model, holder = heapq.heappop(self._events)
            if holder:
                self._line.finish(holder, self._line.charged(holder))
            waiting, self._idle = [*self._idle, (model, variance)], []
            for each, its_variance in waiting:  # an answer that ends may let a capped person go on elsewhere
                self._begin(now, each, max(variance, its_variance))
        return self._found

    def _begin(self, now: float, model: str, variance: float) -> None:
        entry = self._line.pick(model)
        if entry is None:
            self._idle.append((model, variance))
            return
        self._line.take(entry.key)
        around = NINE_IN_TEN * math.sqrt(variance)
        ahead = self._ahead.get(model, 0)
        self._found[entry.key] = Forecast(ahead, round(max(0.0, now - around)), round(now + LATE_SIDE * around))
        self._ahead[model] = ahead + 1
        service = self._serves(entry)
        self.add(now + service.ms, variance + service.spread_ms**2, model, entry.key)


def relative_spread(mean: float, distance: float) -> float:
    """Standard deviation over mean, of lengths with this mean distance from it."""
    return min(1.0, max(LEAST_SPREAD, DEVIATION * distance / mean))


def left_of(service: Service, elapsed_ms: float) -> Slot:
    """The rest of an answer that has run for so long: the longer it is overdue, the longer it may still go on."""
    overdue = OVERDUE * elapsed_ms
    return Slot(max(service.ms - elapsed_ms, 0.3 * service.spread_ms, overdue), max(service.spread_ms, overdue))
