"""The fair line, pure: no Django, no Redis, no clock.

Start-time fair queueing over GPU milliseconds. A flow is a person, his scripts included; every flow and every class has
a tag, which grows by what it is charged over its weight; who has the smallest tag is next. Idleness earns nothing: a
flow that comes back starts at the clock of those who worked on. Literature: SFQ (Goyal 1996), VTC (arXiv 2401.00588:
charge as tokens come).
"""

from __future__ import annotations

from bisect import insort
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from chat.contenders import Contenders, Head, Offer

Key: TypeAlias = str
Queue: TypeAlias = tuple[str, str]  # model, class
INTERACTIVE, SCRIPT, BACKGROUND, IDLE = "interactive", "script", "background", "idle"
# Shares of the box while all wait. Guaranteed shares must stay below the room that people leave: with 75/20/5 the
# longest wait of a person behind 300 script calls was 284 s in simulation, with these 28 s.
SHARES: Final[Mapping[str, int]] = {INTERACTIVE: 85, SCRIPT: 10, BACKGROUND: 5}
ORDINARY_WEIGHT = 100


@dataclass(frozen=True)
class Entry:
    """One waiting generation. `flow` is the person it belongs to, `cost` the GPU ms it is expected to take.

    `seq` orders the entries of a flow; `weight` is the flow's (100: an ordinary share), `class_` one of the four. Idle
    calls have a flow of their own.
    """

    key: Key
    flow: int
    model: str
    class_: str = INTERACTIVE
    cost: int = 1
    weight: int = ORDINARY_WEIGHT
    seq: int = 0


@dataclass
class _Flow:
    tag: float = 0.0
    weight: int = ORDINARY_WEIGHT
    queues: dict[Queue, list[Head]] = field(default_factory=dict)
    running: dict[str, int] = field(default_factory=dict)  # by class, where there are any

    @property
    def is_idle(self) -> bool:
        return not self.queues and not self.running

    def ran(self, class_: str) -> None:
        self.running[class_] -= 1
        if not self.running[class_]:
            del self.running[class_]

    def copy(self) -> _Flow:
        queues = {queue: list(heads) for queue, heads in self.queues.items()}
        return _Flow(self.tag, self.weight, queues, dict(self.running))


@dataclass
class _Held:
    entry: Entry
    charged: int


class Line:
    """Who is next. A flow at its cap is passed over and blocks nobody; idle calls run when nobody else waits.

    `running_per_flow` caps a person's running answers of each class.
    """

    def __init__(self, *, running_per_flow: int) -> None:
        self._cap = running_per_flow
        self._entries: dict[Key, Entry] = {}
        self._held: dict[Key, _Held] = {}
        self._flows: dict[int, _Flow] = {}
        self._waiting: dict[Queue, Contenders] = {}
        self._waits: Counter[str] = Counter()  # by class
        self._runs: Counter[str] = Counter()
        self._class_tags: dict[str, float] = dict.fromkeys(SHARES, 0.0)
        self._is_lifting = True
        self._served: frozenset[str] | None = None
        self.clock = 0.0
        self.class_clock = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._entries.values())

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def entry(self, key: Key) -> Entry | None:
        """Of one that waits or is held."""
        held = self._held.get(key)
        return held.entry if held else self._entries.get(key)

    @property
    def models(self) -> list[str]:
        """Those that are waited for."""
        return list(dict.fromkeys(model for model, _class in self._waiting))

    @property
    def held(self) -> set[Key]:
        return set(self._held)

    def serve(self, models: Collection[str]) -> None:
        """Which models have slots at all from now on; until it is said, all have.

        Who only waits for another one is as idle as who has gone home: a question that is parked earns nothing.
        """
        before, now = self._served, frozenset(models)
        for model, class_ in list(self._waiting):
            if before is not None and model in now and model not in before:
                for number in self._waiting[model, class_].flows:
                    self._lift(number, self._flows[number], class_)
        self._served = now

    def enqueue(self, entry: Entry) -> None:
        """Twice is once; what is held is not enqueued again."""
        if entry.key in self._entries or entry.key in self._held:
            return
        flow = self._flow(entry.flow)
        self._lift(entry.flow, flow, entry.class_)
        flow.weight = entry.weight
        queue = entry.model, entry.class_
        insort(flow.queues.setdefault(queue, []), (entry.seq, entry.key))
        self._entries[entry.key] = entry
        self._waits[entry.class_] += 1
        if flow.queues[queue][0][1] == entry.key:
            self._offer(entry.flow, flow, queue)

    def withdraw(self, key: Key) -> None:
        """It waits no longer; nothing happens to one that does not wait."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._unqueue(entry)
            self._forget(entry.flow)

    def pick(self, model: str) -> Entry | None:
        """The next entry for a free slot of `model`; None only if nobody eligible waits for it."""
        for class_ in sorted(SHARES, key=self._class_tags.__getitem__):
            if entry := self._first(model, class_):
                return entry
        is_quiet = not any(self._waits[class_] for class_ in SHARES)
        return self._first(model, IDLE) if is_quiet else None

    def take(self, key: Key) -> None:
        """It gets a slot: its expected cost is charged at once."""
        entry = self._entries.pop(key)
        self._unqueue(entry)
        if entry.class_ in SHARES:  # idle calls are the site's own: they move no clock
            self.clock = max(self.clock, self._flows[entry.flow].tag)
            self.class_clock = max(self.class_clock, self._class_tags[entry.class_])
        self._hold(entry, 0)
        self._add(self._held[key], entry.cost)

    def hold(self, entry: Entry, charged: int | None = None) -> None:
        """Count an answer that already has a slot, after a restart of the leader.

        `charged`: what the saved tags hold of it; None where they know nothing of it, then its cost is charged now.
        """
        if entry.key in self._held:
            return
        self.withdraw(entry.key)
        flow = self._flow(entry.flow)
        self._lift(entry.flow, flow, entry.class_)
        flow.weight = entry.weight
        self._hold(entry, charged or 0)
        if charged is None:
            self._add(self._held[entry.key], entry.cost)

    def charge(self, key: Key, so_far: int) -> None:
        """As tokens come: whoever takes more than was expected pays at once, less is given back only at the end."""
        held = self._held.get(key)
        if held is not None and so_far > held.charged:
            self._add(held, so_far - held.charged)

    def finish(self, key: Key, actual: int) -> None:
        """It has ended, however it did: it is charged what it took, in GPU ms."""
        held = self._held.pop(key, None)
        if held is None:
            return
        self._add(held, actual - held.charged)
        entry = held.entry
        flow = self._flows[entry.flow]
        flow.ran(entry.class_)
        self._runs[entry.class_] -= 1
        self._forget(entry.flow)

    def give_back(self, key: Key) -> None:
        """It was taken and got no slot after all: it waits at its old place, and nothing is charged."""
        held = self._held.get(key)
        if held is not None:
            self.finish(key, 0)
            self.enqueue(held.entry)

    def charged(self, key: Key) -> int:
        """GPU ms so far, of one that is held."""
        held = self._held.get(key)
        return held.charged if held else 0

    def is_capped(self, entry: Entry) -> bool:
        """Whether its flow's own running answers keep it from a slot."""
        flow = self._flows.get(entry.flow)
        return flow is not None and flow.running.get(entry.class_, 0) >= self._cap

    def copy(self) -> Line:
        """The same line, to be run forward without an effect here."""
        twin = Line(running_per_flow=self._cap)
        twin._entries = dict(self._entries)
        twin._held = {key: _Held(held.entry, held.charged) for key, held in self._held.items()}
        twin._flows = {key: flow.copy() for key, flow in self._flows.items()}
        twin._waiting = {queue: contenders.copy() for queue, contenders in self._waiting.items()}
        twin._waits, twin._runs = Counter(self._waits), Counter(self._runs)
        twin._class_tags = dict(self._class_tags)
        twin._served = self._served
        twin.clock, twin.class_clock = self.clock, self.class_clock
        return twin

    def save(self) -> dict[str, Any]:
        """Its memory as JSON: what the database does not know by itself. Forgets flows that have no more to pay."""
        for number in list(self._flows):
            self._forget(number)
        return {
            "clock": self.clock,
            "class_clock": self.class_clock,
            "classes": {class_: [tag, self._is_at_work(class_)] for class_, tag in self._class_tags.items()},
            "flows": {str(key): flow.tag for key, flow in self._flows.items()},
            "held": {key: held.charged for key, held in self._held.items()},
            "served": None if self._served is None else sorted(self._served),
        }

    def rebuild(self, saved: Mapping[str, Any], held: Iterable[Entry], waiting: Iterable[Entry]) -> dict[Key, int]:
        """An empty line as its last leader had it, with what happened since. Returns what it had charged for answers
        that have ended meanwhile: let them be held with that, and finish."""
        self.clock = float(saved.get("clock", 0.0))
        self.class_clock = float(saved.get("class_clock", 0.0))
        for class_, (tag, was_at_work) in saved.get("classes", {}).items():
            if class_ in SHARES:
                self._class_tags[class_] = float(tag) if was_at_work else max(float(tag), self.class_clock)
        # Whom he knew is not lifted to the clock: he was at work, or has more to pay than that.
        self._flows = {int(key): _Flow(float(tag)) for key, tag in saved.get("flows", {}).items()}
        served = saved.get("served")
        self._served = None if served is None else frozenset(served)
        self._is_lifting = False
        charged = {str(key): int(amount) for key, amount in saved.get("held", {}).items()}
        for entry in held:
            self.hold(entry, charged.pop(entry.key, None))
        for entry in waiting:
            self.enqueue(entry)
        self._is_lifting = True
        return charged

    def _is_at_work(self, class_: str) -> bool:
        waits = any(each == class_ and self._is_served(model) for model, each in self._waiting)
        return waits or self._runs[class_] > 0

    def _is_served(self, model: str) -> bool:
        return self._served is None or model in self._served

    def _flow(self, number: int) -> _Flow:
        flow = self._flows.get(number)
        if flow is None:
            flow = self._flows[number] = _Flow(self.clock)
        return flow

    def _lift(self, number: int, flow: _Flow, class_: str) -> None:
        """Idleness earns nothing: neither a person nor a class."""
        if not self._is_lifting:
            return
        is_idle = not flow.running and not any(self._is_served(model) for model, _class in flow.queues)
        if is_idle and flow.tag < self.clock:
            flow.tag = self.clock
            for queue in flow.queues:
                self._offer(number, flow, queue)
        if class_ in SHARES and not self._is_at_work(class_):
            self._class_tags[class_] = max(self._class_tags[class_], self.class_clock)

    def _hold(self, entry: Entry, charged: int) -> None:
        self._held[entry.key] = _Held(entry, charged)
        running = self._flows[entry.flow].running
        running[entry.class_] = running.get(entry.class_, 0) + 1
        self._runs[entry.class_] += 1

    def _add(self, held: _Held, amount: int) -> None:
        entry = held.entry
        held.charged += amount
        flow = self._flows[entry.flow]
        flow.tag += amount * ORDINARY_WEIGHT / flow.weight
        if entry.class_ in SHARES:
            self._class_tags[entry.class_] += amount / SHARES[entry.class_]
        for queue in flow.queues:
            self._offer(entry.flow, flow, queue)

    def _first(self, model: str, class_: str) -> Entry | None:
        """Of the flows that are not at their cap, the one with the least tag."""
        queue, flows = (model, class_), self._flows

        def is_true(offer: Offer) -> bool:
            tag, seq, key, number = offer
            flow = flows.get(number)
            heads = flow.queues.get(queue) if flow else None
            if flow is None or not heads or flow.tag != tag or heads[0] != (seq, key):
                return False
            return flow.running.get(class_, 0) < self._cap  # it is offered again when one of them ends

        contenders = self._waiting.get(queue)
        offer = contenders.first(is_true) if contenders else None
        return self._entries[offer[2]] if offer else None

    def _offer(self, number: int, flow: _Flow, queue: Queue) -> None:
        contenders = self._waiting.setdefault(queue, Contenders())
        contenders.offer(number, flow.tag, flow.queues[queue][0])
        if contenders.is_cluttered:
            each = ((number, self._flows[number]) for number in contenders.flows)
            contenders.start_over([(flow.tag, *flow.queues[queue][0], number) for number, flow in each])

    def _unqueue(self, entry: Entry) -> None:
        queue = entry.model, entry.class_
        flow = self._flows[entry.flow]
        heads = flow.queues[queue]
        heads.remove((entry.seq, entry.key))
        self._waits[entry.class_] -= 1
        if heads:
            self._offer(entry.flow, flow, queue)
            return
        del flow.queues[queue]
        self._waiting[queue].flows.discard(entry.flow)
        if not self._waiting[queue].flows:
            del self._waiting[queue]

    def _forget(self, number: int) -> None:
        """An idle flow at or behind the clock would be lifted to it anyway."""
        flow = self._flows.get(number)
        if flow is not None and flow.is_idle and flow.tag <= self.clock:
            del self._flows[number]
