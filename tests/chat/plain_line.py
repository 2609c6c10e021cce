"""The fair line a second time, the plainest way: lists that are searched, tags that are added up."""

from __future__ import annotations

from collections.abc import Iterable

from chat.line import ORDINARY_WEIGHT, SHARES, Entry


class PlainLine:
    """What `Line` is asked in the same order gives the same answers. `cap` on running answers of a person and class."""

    def __init__(self, *, cap: int, served: Iterable[str] = ()) -> None:
        self.cap = cap
        self.served = set(served)
        self.waiting: list[Entry] = []
        self.queues: dict[tuple[str, str], None] = {}  # by model and class, in the order in which they formed
        self.held: dict[str, tuple[Entry, int]] = {}  # with what it is charged
        self.tags: dict[int, float] = {}
        self.class_tags: dict[str, float] = dict.fromkeys(SHARES, 0.0)
        self.clock = self.class_clock = 0.0

    def enqueue(self, entry: Entry) -> None:
        self._lift(entry)
        self.waiting.append(entry)
        self.queues.setdefault((entry.model, entry.class_))

    def withdraw(self, entry: Entry) -> None:
        self.waiting.remove(entry)
        self._form()

    def line_up_again(self) -> None:
        """Under another leader: in the order in which they were asked."""
        self.waiting.sort(key=lambda entry: (entry.seq, entry.key))
        self.queues = dict.fromkeys((each.model, each.class_) for each in self.waiting)

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(model for model, _class in self.queues))

    def take(self, entry: Entry) -> None:
        if entry.class_ in SHARES:
            self.clock = max(self.clock, self.tag(entry.flow))
            self.class_clock = max(self.class_clock, self.class_tags[entry.class_])
        self.withdraw(entry)
        self.held[entry.key] = entry, 0
        self._add(entry.key, entry.cost)

    def charge(self, key: str, so_far: int) -> None:
        self._add(key, max(0, so_far - self.held[key][1]))

    def finish(self, key: str, actual: int) -> Entry:
        self._add(key, actual - self.held[key][1])
        return self.held.pop(key)[0]

    def give_back(self, key: str) -> None:
        self.enqueue(self.finish(key, 0))

    def serve(self, models: set[str]) -> None:
        """Who only waited for a model that had no slots was idle until now."""
        for entry in [each for each in self.waiting if each.model in models - self.served]:
            self._lift(entry)
        self.served = set(models)

    def next(self, model: str) -> Entry | None:
        """The least tag of the least class, first in first out inside a flow; idle calls where nobody else waits."""
        fits = [e for e in self.waiting if e.model == model and self._running(e.flow, e.class_) < self.cap]
        if any(e.class_ in SHARES for e in self.waiting):
            fits = [e for e in fits if e.class_ in SHARES]
        if not fits:
            return None
        least = min(fits, key=self._class_order).class_
        return min((e for e in fits if e.class_ == least), key=lambda e: (self.tag(e.flow), e.seq, e.key))

    def tag(self, flow: int) -> float:
        return self.tags.setdefault(flow, 0.0)

    def _form(self) -> None:
        there = {(each.model, each.class_) for each in self.waiting}
        self.queues = {queue: None for queue in self.queues if queue in there}

    def _class_order(self, entry: Entry) -> tuple[float, int]:
        order = list(SHARES)
        place = order.index(entry.class_) if entry.class_ in order else len(order)
        return self.class_tags.get(entry.class_, 0.0), place

    def _lift(self, entry: Entry) -> None:
        at_work = [e for e in self.waiting if e.model in self.served] + [held for held, _ in self.held.values()]
        if not any(each.flow == entry.flow for each in at_work):
            self.tags[entry.flow] = max(self.tag(entry.flow), self.clock)
        if entry.class_ in SHARES and not any(each.class_ == entry.class_ for each in at_work):
            self.class_tags[entry.class_] = max(self.class_tags[entry.class_], self.class_clock)

    def _add(self, key: str, amount: int) -> None:
        entry, charged = self.held[key]
        self.held[key] = entry, charged + amount
        self.tags[entry.flow] = self.tag(entry.flow) + amount * ORDINARY_WEIGHT / entry.weight
        if entry.class_ in SHARES:
            self.class_tags[entry.class_] += amount / SHARES[entry.class_]

    def _running(self, flow: int, class_: str) -> int:
        return sum(entry.flow == flow and entry.class_ == class_ for entry, _ in self.held.values())
