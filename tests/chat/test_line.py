"""The line as a state machine: what a person in it may rely on."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from chat.line import Entry, Line

CAP = 2
FLOWS, MODELS = st.integers(1, 4), st.sampled_from(["32b", "70b"])


class LineMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.line = Line(running_per_flow=CAP)
        self.waiting: list[Entry] = []
        self.held: list[Entry] = []
        self.count = 0

    @rule(flow=FLOWS, model=MODELS, twice=st.booleans())
    def enqueue(self, flow: int, model: str, twice: bool) -> None:
        self.count += 1
        entry = Entry(str(self.count), flow, model)
        for _ in range(1 + twice):
            self.line.enqueue(entry)
        self.waiting.append(entry)

    @rule(model=MODELS)
    def release(self, model: str) -> None:
        entry = self.line.pick(model)
        fits = [e for e in self.waiting if e.model == model and self.running(e.flow) < CAP]
        assert entry == (fits[0] if fits else None), "the oldest that is not capped, and nobody else"
        if entry is not None:
            self.line.take(entry.key)
            self.waiting.remove(entry)
            self.held.append(entry)

    @rule(data=st.data())
    def finish(self, data: st.DataObject) -> None:
        if self.held:
            entry = data.draw(st.sampled_from(self.held))
            self.line.finish(entry.key)
            self.held.remove(entry)

    @rule(data=st.data())
    def withdraw(self, data: st.DataObject) -> None:
        if self.waiting:
            entry = data.draw(st.sampled_from(self.waiting))
            self.line.withdraw(entry.key)
            self.waiting.remove(entry)

    def running(self, flow: int) -> int:
        return sum(entry.flow == flow for entry in self.held)

    @invariant()
    def everybody_is_in_one_place(self) -> None:
        assert list(self.line) == self.waiting
        assert self.line.held == {entry.key for entry in self.held}

    @invariant()
    def nobody_exceeds_the_cap(self) -> None:
        assert all(self.running(flow) <= CAP for flow in range(1, 5))

    @invariant()
    def places_count_those_before_for_the_same_model(self) -> None:
        for key, ahead in self.line.ahead_of().items():
            place = next(i for i, entry in enumerate(self.waiting) if entry.key == key)
            model = self.waiting[place].model
            assert ahead == sum(entry.model == model for entry in self.waiting[:place])


TestLine = LineMachine.TestCase
TestLine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
