"""The fair line as a state machine beside a plain model of it: what a person in it may rely on."""

from __future__ import annotations

import json

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chat.line import BACKGROUND, IDLE, INTERACTIVE, SCRIPT, SHARES, Entry, Line
from tests.chat.plain_line import PlainLine

CAP = 2
FLOWS, MODELS = st.integers(1, 4), st.sampled_from(["32b", "70b"])
CLASSES = st.sampled_from([INTERACTIVE, INTERACTIVE, SCRIPT, BACKGROUND, IDLE])
COSTS = st.integers(1, 900)
WEIGHTS = {1: 100, 2: 100, 3: 50, 4: 200}


class LineMachine(RuleBasedStateMachine):
    """The line beside the plain one."""

    def __init__(self) -> None:
        super().__init__()
        self.line = Line(running_per_flow=CAP)
        self.plain = PlainLine(cap=CAP, served={"32b", "70b"})
        self.line.serve(self.plain.served)
        self.count = 0

    @rule(flow=FLOWS, model=MODELS, class_=CLASSES, cost=COSTS, twice=st.booleans())
    def enqueue(self, flow: int, model: str, class_: str, cost: int, twice: bool) -> None:
        self.count += 1
        entry = Entry(f"{self.count:04}", flow, model, class_, cost, WEIGHTS[flow], self.count)
        self.plain.enqueue(entry)
        for _ in range(1 + twice):
            self.line.enqueue(entry)

    @rule(model=MODELS)
    def release(self, model: str) -> None:
        entry = self.line.pick(model)
        assert entry == self.plain.next(model)
        if entry is not None:
            self.line.take(entry.key)
            self.plain.take(entry)

    @rule(data=st.data(), so_far=COSTS)
    def tokens_come(self, data: st.DataObject, so_far: int) -> None:
        if self.plain.held:
            key = data.draw(st.sampled_from(sorted(self.plain.held)))
            self.line.charge(key, so_far)
            self.plain.charge(key, so_far)

    @rule(data=st.data(), actual=COSTS)
    def finish(self, data: st.DataObject, actual: int) -> None:
        if self.plain.held:
            key = data.draw(st.sampled_from(sorted(self.plain.held)))
            self.line.finish(key, actual)
            self.line.finish(key, actual)
            self.plain.finish(key, actual)

    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        if self.plain.held:
            key = data.draw(st.sampled_from(sorted(self.plain.held)))
            self.line.give_back(key)
            self.plain.give_back(key)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.plain.waiting:
            entry = data.draw(st.sampled_from(self.plain.waiting))
            self.line.withdraw(entry.key)
            self.plain.withdraw(entry)

    @rule()
    def another_leader(self) -> None:
        """What the next leader makes of the database and of what this one saved puts everybody in the same order."""
        line = Line(running_per_flow=CAP)
        self.plain.line_up_again()
        held = [entry for entry, _ in self.plain.held.values()]
        assert line.rebuild(json.loads(json.dumps(self.line.save())), held, self.plain.waiting) == {}
        self.line = line

    @rule(models=st.sets(MODELS))
    def models_come_and_go(self, models: set[str]) -> None:
        self.line.serve(models)
        self.plain.serve(models)

    @invariant()
    def everybody_is_in_one_place(self) -> None:
        assert {entry.key for entry in self.line} == {entry.key for entry in self.plain.waiting}
        assert self.line.held == set(self.plain.held)
        assert self.line.models == self.plain.models

    @invariant()
    def a_copy_runs_forward_alone(self) -> None:
        twin = self.line.copy()
        for model in twin.models:
            while entry := twin.pick(model):
                twin.take(entry.key)

    @invariant()
    def what_is_charged_adds_up(self) -> None:
        assert self.line.clock == self.plain.clock, "the clock never falls and is nobody's but who was released"
        assert {key: self.line.charged(key) for key in self.line.held} == {
            key: charged for key, (_entry, charged) in self.plain.held.items()
        }


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
