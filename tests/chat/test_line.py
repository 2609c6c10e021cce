"""The fair line as a state machine beside a plain model of it: what a person in it may rely on."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chat.line import BACKGROUND, IDLE, INTERACTIVE, SCRIPT, SHARES, Entry, Line

CAP = 2
FLOWS, MODELS = st.integers(1, 4), st.sampled_from(["32b", "70b"])
CLASSES = st.sampled_from([INTERACTIVE, INTERACTIVE, SCRIPT, BACKGROUND, IDLE])
COSTS = st.integers(1, 900)
WEIGHTS = {1: 100, 2: 100, 3: 50, 4: 200}


class LineMachine(RuleBasedStateMachine):
    """Tags are reckoned here a second time, the plainest way."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(running_per_flow=CAP)
        self.served = {"32b", "70b"}
        self.line.serve(self.served)
        self.waiting: list[Entry] = []
        self.held: dict[str, tuple[Entry, int]] = {}
        self.tags: dict[int, float] = dict.fromkeys(WEIGHTS, 0.0)
        self.class_tags: dict[str, float] = dict.fromkeys(SHARES, 0.0)
        self.clock = self.class_clock = 0.0
        self.count = 0
        self.actual = 0

    @rule(flow=FLOWS, model=MODELS, class_=CLASSES, cost=COSTS, twice=st.booleans())
    def enqueue(self, flow: int, model: str, class_: str, cost: int, twice: bool) -> None:
        self.count += 1
        entry = Entry(f"{self.count:04}", flow, model, class_, cost, WEIGHTS[flow], self.count)
        self.lift(flow, class_)
        for _ in range(1 + twice):
            self.line.enqueue(entry)
        self.waiting.append(entry)

    @rule(model=MODELS)
    def release(self, model: str) -> None:
        entry, expected = self.line.pick(model), self.next(model)
        assert entry == expected, "the least tag of the least class, first in first out inside a flow; None for nobody"
        if entry is None:
            return
        if entry.class_ != IDLE:
            self.clock = max(self.clock, self.tags[entry.flow])
        if entry.class_ in SHARES:
            self.class_clock = max(self.class_clock, self.class_tags[entry.class_])
        self.line.take(entry.key)
        self.waiting.remove(entry)
        self.charge_to(entry, entry.cost)
        self.held[entry.key] = entry, entry.cost

    @rule(data=st.data(), so_far=COSTS)
    def tokens_come(self, data: st.DataObject, so_far: int) -> None:
        if self.held:
            key = data.draw(st.sampled_from(sorted(self.held)))
            entry, charged = self.held[key]
            self.line.charge(key, so_far)
            self.charge_to(entry, max(0, so_far - charged))
            self.held[key] = entry, max(charged, so_far)

    @rule(data=st.data(), actual=COSTS)
    def finish(self, data: st.DataObject, actual: int) -> None:
        if self.held:
            key = data.draw(st.sampled_from(sorted(self.held)))
            entry, charged = self.held.pop(key)
            self.line.finish(key, actual)
            self.line.finish(key, actual)
            self.charge_to(entry, actual - charged)
            self.actual += actual

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if self.held:
            key = data.draw(st.sampled_from(sorted(self.held)))
            entry, charged = self.held.pop(key)
            self.charge_to(entry, -charged)
            self.lift(entry.flow, entry.class_)
            self.line.give_back(key)
            self.waiting.append(entry)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.waiting:
            entry = data.draw(st.sampled_from(self.waiting))
            self.line.withdraw(entry.key)
            self.waiting.remove(entry)

    @rule()
    def another_leader(self) -> None:
        """What the next leader makes of the database and of what this one saved puts everybody in the same order."""
        line = Line(running_per_flow=CAP)
        held = [entry for entry, _ in self.held.values()]
        assert line.rebuild(json.loads(json.dumps(self.line.save())), held, self.waiting) == {}
        self.line = line

    @rule(models=st.sets(MODELS))
    def models_come_and_go(self, models: set[str]) -> None:
        """Who only waited for a model that had no slots was idle until now."""
        self.line.serve(models)
        for entry in [each for each in self.waiting if each.model in models - self.served]:
            self.lift(entry.flow, entry.class_)
        self.served = models

    def lift(self, flow: int, class_: str) -> None:
        at_work = [e for e in self.waiting if e.model in self.served] + [held for held, _ in self.held.values()]
        if not any(each.flow == flow for each in at_work):
            self.tags[flow] = max(self.tags[flow], self.clock)
        if class_ in SHARES and not any(each.class_ == class_ for each in at_work):
            self.class_tags[class_] = max(self.class_tags[class_], self.class_clock)

    def charge_to(self, entry: Entry, amount: int) -> None:
        self.tags[entry.flow] += amount * 100 / entry.weight
        if entry.class_ in SHARES:
            self.class_tags[entry.class_] += amount / SHARES[entry.class_]

    def next(self, model: str) -> Entry | None:
        fits = [e for e in self.waiting if e.model == model and self.running(e.flow, e.class_) < CAP]
        shared = [e for e in fits if e.class_ in SHARES]
        if any(e.class_ in SHARES for e in self.waiting):
            fits = shared
        if not fits:
            return None
        order = list(SHARES)
        least = min(
            fits, key=lambda e: (self.class_tags.get(e.class_, 0), order.index(e.class_) if e.class_ in order else 9)
        ).class_
        return min((e for e in fits if e.class_ == least), key=lambda e: (self.tags[e.flow], e.seq, e.key))

    def running(self, flow: int, class_: str) -> int:
        return sum(entry.flow == flow and entry.class_ == class_ for entry, _ in self.held.values())

    @invariant()
    def everybody_is_in_one_place(self) -> None:
        assert {entry.key for entry in self.line} == {entry.key for entry in self.waiting}
        assert self.line.held == set(self.held)
        assert set(self.line.models) == {entry.model for entry in self.waiting}

    @invariant()
    def a_copy_runs_forward_alone(self) -> None:
        twin = self.line.copy()
        for model in twin.models:
            while entry := twin.pick(model):
                twin.take(entry.key)

    @invariant()
    def what_is_charged_adds_up(self) -> None:
        assert self.line.clock == self.clock, "the clock never falls and is nobody's but who was released"
        assert {key: self.line.charged(key) for key in self.held} == {key: each[1] for key, each in self.held.items()}


TestLine = LineMachine.TestCase
TestLine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def serve(line: Line, model: str, tokens: int, actual: dict[int, int]) -> list[Entry]:
    """One slot, `tokens` answers one after the other; each takes what its flow's answers take."""
    served = []
    for _ in range(tokens):
        entry = line.pick(model)
        assert entry is not None
        line.take(entry.key)
        line.finish(entry.key, actual[entry.flow])
        served.append(entry)
    return served


def test_sixty_long_wishes_of_one_person_cost_another_one_answer() -> None:
    line = Line(running_per_flow=4)
    for number in range(60):
        line.enqueue(Entry(f"hog-{number}", 1, "32b", cost=60_000, seq=number))
    serve(line, "32b", 2, {1: 60_000})
    line.enqueue(Entry("the one", 2, "32b", cost=1_000, seq=100))
    assert serve(line, "32b", 1, {1: 60_000, 2: 900})[0].key == "the one"


def test_an_hour_of_idleness_earns_nothing() -> None:
    line = Line(running_per_flow=4)
    for number in range(40):
        line.enqueue(Entry(f"a{number:02}", 1, "32b", cost=100, seq=number))
    serve(line, "32b", 20, {1: 100})
    for number in range(20):
        line.enqueue(Entry(f"b{number:02}", 2, "32b", cost=100, seq=100 + number))
    flows = [entry.flow for entry in serve(line, "32b", 20, {1: 100, 2: 100})]
    assert flows.count(1) in (9, 10, 11)


def test_a_group_of_twice_the_weight_gets_twice_the_share() -> None:
    line = Line(running_per_flow=4)
    for number in range(60):
        line.enqueue(Entry(f"a{number:02}", 1, "32b", cost=100, weight=200, seq=number))
        line.enqueue(Entry(f"b{number:02}", 2, "32b", cost=100, weight=100, seq=number))
    flows = [entry.flow for entry in serve(line, "32b", 30, {1: 100, 2: 100})]
    assert flows.count(1) == 20


def test_lower_classes_keep_their_shares() -> None:
    line = Line(running_per_flow=4)
    for number in range(400):
        for flow, class_ in enumerate((INTERACTIVE, SCRIPT, BACKGROUND)):
            line.enqueue(Entry(f"{class_}{number:03}", flow, "32b", class_, cost=100, seq=number))
    found = [entry.class_ for entry in serve(line, "32b", 200, {0: 100, 1: 100, 2: 100})]
    assert [found.count(class_) for class_ in SHARES] == [170, 20, 10]


def test_a_class_that_was_idle_for_an_hour_earns_nothing() -> None:
    line = Line(running_per_flow=4)
    for number in range(100):
        line.enqueue(Entry(f"a{number:03}", number % 5, "32b", cost=100, seq=number))
    serve(line, "32b", 60, dict.fromkeys(range(5), 100))
    for number in range(40):
        line.enqueue(Entry(f"s{number:03}", 9, "32b", SCRIPT, cost=100, seq=200 + number))
    found = [entry.class_ for entry in serve(line, "32b", 20, dict.fromkeys(range(10), 100))]
    assert found.count(SCRIPT) in (2, 3)


def test_who_has_as_many_running_as_he_may_lets_others_pass() -> None:
    line = Line(running_per_flow=2)
    for number in range(3):
        line.enqueue(Entry(f"a{number}", 1, "32b", cost=1, seq=number))
    line.enqueue(Entry("b", 2, "32b", cost=9_000, seq=9))
    taken = []
    while entry := line.pick("32b"):
        line.take(entry.key)
        taken.append(entry.key)
    assert taken == ["a0", "b", "a1"]
    line.finish("a0", 1)
    following = line.pick("32b")
    assert following is not None
    assert following.key == "a2"


def test_a_question_that_was_parked_earns_nothing() -> None:
    line = Line(running_per_flow=4)
    line.serve(["32b"])
    line.enqueue(Entry("parked", 1, "70b", cost=100, seq=0))
    for number in range(40):
        line.enqueue(Entry(f"a{number:02}", 2, "32b", cost=100, seq=1 + number))
    serve(line, "32b", 20, {2: 100})
    for number in range(20):
        line.enqueue(Entry(f"b{number:02}", 1, "32b", cost=100, seq=100 + number))
    flows = [entry.flow for entry in serve(line, "32b", 20, {1: 100, 2: 100})]
    assert flows.count(1) in (9, 10, 11)
