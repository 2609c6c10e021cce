"""The line, pure: no Django, no Redis, no clock. First come first served with a cap per person on running answers.

The interface (enqueue, withdraw, pick, take, finish, ahead_of) is the one that the fair line fills later.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

Key: TypeAlias = str


@dataclass(frozen=True)
class Entry:
    """One waiting generation. `flow` is the person it belongs to."""

    key: Key
    flow: int
    model: str


class Line:
    """Who is next. Entries keep the order in which they were enqueued; a capped flow is passed over, blocks nobody."""

    def __init__(self, *, running_per_flow: int) -> None:
        self._cap = running_per_flow
        self._waiting: dict[Key, Entry] = {}
        self._held: dict[Key, Entry] = {}
        self._running: Counter[int] = Counter()

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._waiting.values())

    @property
    def models(self) -> list[str]:
        return list(dict.fromkeys(entry.model for entry in self._waiting.values()))

    def enqueue(self, entry: Entry) -> None:
        """Twice is once; what is held is not enqueued again."""
        if entry.key not in self._held:
            self._waiting.setdefault(entry.key, entry)

    def withdraw(self, key: Key) -> None:
        self._waiting.pop(key, None)

    def hold(self, entry: Entry) -> None:
        """Count an answer that already has a slot (after a restart of the leader)."""
        if entry.key not in self._held:
            self._held[entry.key] = entry
            self._running[entry.flow] += 1

    def pick(self, model: str) -> Entry | None:
        """The next entry for a free slot of `model`; None only if nobody eligible waits for it."""
        for entry in self._waiting.values():
            if entry.model == model and not self.is_capped(entry):
                return entry
        return None

    def take(self, key: Key) -> None:
        self.hold(self._waiting.pop(key))

    def finish(self, key: Key) -> None:
        entry = self._held.pop(key, None)
        if entry is not None:
            self._running[entry.flow] -= 1

    @property
    def held(self) -> set[Key]:
        return set(self._held)

    def is_capped(self, entry: Entry) -> bool:
        """Whether its flow's own running answers keep it from a slot."""
        return self._running[entry.flow] >= self._cap

    def ahead_of(self) -> dict[Key, int]:
        """How many wait before each entry for the same model."""
        seen: Counter[str] = Counter()
        ahead: dict[Key, int] = {}
        for entry in self._waiting.values():
            ahead[entry.key] = seen[entry.model]
            seen[entry.model] += 1
        return ahead
