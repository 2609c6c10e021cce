"""A box that is simulated: real line, forecast and collation, with people and cards played. Times are ms."""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeAlias

from chat import collation, forecast
from chat.collation import Resident, Wanted
from chat.estimating import NEWEST, UNSEEN_TOKENS
from chat.forecast import Service, Slot
from chat.line import INTERACTIVE, Entry, Line

CHECKPOINT_MS, TOKEN_MS = 1_000, 20
UNSEEN_MS = UNSEEN_TOKENS * TOKEN_MS
MODEL, OTHER = "a", "b"


@dataclass
class Question:
    """`ms` is how long its answer will take, which nobody knows before."""

    at: float
    flow: int
    ms: float
    model: str = MODEL
    class_: str = INTERACTIVE
    key: str = ""
    begun: float | None = None
    told: tuple[int, int] | None = None

    @property
    def waited(self) -> float | None:
        return None if self.begun is None else self.begun - self.at


class FirstCome(Line):
    """First come, first served; nobody is capped."""

    def pick(self, model: str) -> Entry | None:
        return min((entry for entry in self if entry.model == model), key=lambda entry: entry.seq, default=None)


Holds: TypeAlias = Callable[[Line, Wanted, Resident], bool]


def collated(line: Line, wanted: Wanted, resident: Resident) -> bool:
    return collation.makes_way(wanted, [resident])


def collated_without_bound(line: Line, wanted: Wanted, resident: Resident) -> bool:
    return not resident.is_waited_for


def as_they_come(line: Line, wanted: Wanted, resident: Resident) -> bool:
    is_idle = not resident.is_waited_for and not resident.is_answering
    return is_idle or min(line, key=lambda entry: entry.seq).model != (MODEL if resident.id == 0 else OTHER)


@dataclass
class Lengths:
    """What was seen: the moving means of `chat.estimating`, in ms."""

    means: dict[tuple[int | None, str], float] = field(default_factory=dict)
    spreads: dict[str, float] = field(default_factory=dict)

    def expected(self, flow: int, model: str) -> float:
        return self.means.get((flow, model)) or self.means.get((None, model), UNSEEN_MS)

    def learn(self, question: Question) -> None:
        model, ms = question.model, question.ms
        mean = self.means.get((None, model))
        distance = ms / 2 if mean is None else abs(mean - ms)
        self.spreads[model] = _moved(self.spreads.get(model), distance)
        for who in (question.flow, None):
            self.means[who, model] = _moved(self.means.get((who, model)), ms)

    def service(self, entry: Entry) -> Service:
        mean = self.means.get((None, entry.model), 0.0)
        relative = forecast.relative_spread(mean, self.spreads.get(entry.model, 0.0)) if mean else 1.0
        return Service(entry.cost, entry.cost * relative)


def _moved(mean: float | None, seen: float) -> float:
    return seen if mean is None else mean * (1 - NEWEST) + seen * NEWEST


class Box:
    """One card with `slots` slots, which holds one model at a time. `again`: who asks anew when an answer ends."""

    def __init__(
        self,
        line: Line,
        *,
        slots: int = 8,
        load_ms: float = 0.0,
        holds: Holds = collated,
        again: Callable[[Question, float], Question | None] = lambda _question, _now: None,
        is_telling: bool = False,
    ) -> None:
        self.line, self.slots, self.load_ms, self._holds, self._again = line, slots, load_ms, holds, again
        self.lengths, self.asked, self.swaps = Lengths(), list[Question](), 0
        self.served: dict[int, float] = {}
        self._is_telling = is_telling
        self._events: list[tuple[float, int, str, Question | None]] = []
        self._order = itertools.count()
        self._waiting: dict[str, Question] = {}
        self._running: dict[str, Question] = {}
        self._resident, self._resident_since, self._is_loading = MODEL, 0.0, False

    def run(self, questions: Iterable[Question], until: float) -> None:
        for each in questions:
            self._at(each.at, "ask", each)
        self._at(CHECKPOINT_MS, "checkpoint")
        while self._events and self._events[0][0] <= until:
            now, _order, kind, question = heapq.heappop(self._events)
            if question is None:
                self._checkpoint(now) if kind == "checkpoint" else self._loaded(now)
            elif kind == "ask":
                self._ask(question, now)
            else:
                self._end(question, now)
            self._release(now)
            if question is not None and kind == "ask" and self._is_telling:
                self._tell(question, now)
        for each in self._running.values():
            self._serve(each, until)

    def _at(self, ms: float, kind: str, question: Question | None = None) -> None:
        heapq.heappush(self._events, (ms, next(self._order), kind, question))

    def _ask(self, question: Question, now: float) -> None:
        number = len(self.asked)
        question.key = f"{number:06}"
        cost = max(1, round(self.lengths.expected(question.flow, question.model)))
        self.asked.append(question)
        self._waiting[question.key] = question
        self.line.enqueue(Entry(question.key, question.flow, question.model, question.class_, cost, seq=number))

    def _loaded(self, now: float) -> None:
        self._is_loading, self._resident_since = False, now

    def _checkpoint(self, now: float) -> None:
        for key, question in self._running.items():
            self.line.charge(key, round(now - (question.begun or 0)))
        self._at(now + CHECKPOINT_MS, "checkpoint")

    def _end(self, question: Question, now: float) -> None:
        del self._running[question.key]
        self._serve(question, now)
        self.line.finish(question.key, round(question.ms))
        self.lengths.learn(question)
        following = self._again(question, now)
        if following is not None:
            self._ask(following, now)

    def _serve(self, question: Question, now: float) -> None:
        self.served[question.flow] = self.served.get(question.flow, 0.0) + now - (question.begun or 0.0)

    def _release(self, now: float) -> None:
        if self._is_loading or self._is_held_back(now):
            return
        while len(self._running) < self.slots and (entry := self.line.pick(self._resident)):
            self.line.take(entry.key)
            question = self._waiting.pop(entry.key)
            question.begun = now
            self._running[entry.key] = question
            self._at(now + question.ms, "end", question)

    def _is_held_back(self, now: float) -> bool:
        """Whether the model that is there makes way; where nothing of it runs any more, the other one is loaded."""
        waits = [now - each.at for each in self._waiting.values() if each.model != self._resident]
        if not waits or not self.load_ms:
            return False
        is_waited_for = self._resident in self.line.models
        number = 0 if self._resident == MODEL else 1
        resident = Resident(number, round(now - self._resident_since), is_waited_for, bool(self._running))
        if not self._holds(self.line, Wanted(round(max(waits)), round(self.load_ms)), resident):
            return False
        if not self._running:
            self._resident = OTHER if self._resident == MODEL else MODEL
            self._is_loading, self.swaps = True, self.swaps + 1
            self._at(now + self.load_ms, "loaded")
        return True

    def _tell(self, question: Question, now: float) -> None:
        if question.begun is not None:
            return
        slots = [self._slot(each, now) for each in self._running.values()]
        slots += [Slot()] * (self.slots - len(slots))
        found = forecast.forecast(self.line, {self._resident: slots}, self.lengths.service).get(question.key)
        question.told = (found.low_ms, found.high_ms) if found else None

    def _slot(self, question: Question, now: float) -> Slot:
        entry = self.line.entry(question.key)
        assert entry is not None
        left = forecast.left_of(self.lengths.service(entry), now - (question.begun or 0))
        return Slot(left.free_ms, left.spread_ms, question.key)


def arrivals(chance: random.Random, *, until: float, every: float, make: Callable[[float], Question]) -> list[Question]:
    """A Poisson stream: one question `every` ms on average."""
    found, now = [], chance.expovariate(1 / every)
    while now < until:
        found.append(make(now))
        now += chance.expovariate(1 / every)
    return found


def long_tailed(chance: random.Random, mean: float) -> float:
    """Log-normal, as lengths of answers are: one in ten takes twice its mean or longer."""
    sigma = 0.8
    return max(500.0, mean * chance.lognormvariate(-sigma * sigma / 2, sigma))
