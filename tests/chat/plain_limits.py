"""Limits a second time, the plainest way: what is used and put aside is added up from the wishes themselves."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

ALWAYS = datetime(1970, 1, 1, tzinfo=UTC)
OPEN_FOR = timedelta(hours=24)


@dataclass(frozen=True)
class Takes:
    """Amounts by the names of units."""

    gpu_ms: int = 0
    output_tokens: int = 0
    requests: int = 0
    running: int = 0

    def of(self, unit: str) -> int:
        return int(getattr(self, unit))


@dataclass(frozen=True)
class Open:
    """A wish that has not ended, of a person and for a model."""

    wish: str
    person: int
    model: str
    takes: Takes


@dataclass
class Limit:
    """Of one person, or (None) of everybody together; `model` '' is all of them."""

    unit: str
    window: str
    amount: int
    person: int | None
    model: str

    def start(self, now: datetime) -> datetime:
        if self.unit == "running":
            return ALWAYS
        hour = now.replace(minute=0, second=0, microsecond=0)
        return hour if self.window == "hour" else hour.replace(hour=0)

    def before(self, start: datetime) -> datetime:
        return start - timedelta(hours=1 if self.window == "hour" else 24)

    def binds(self, person: int, model: str) -> bool:
        return self.person in (None, person) and self.model in ("", model)


@dataclass
class Counted:
    """One window of one limit. `debt` and `allowed` are as when somebody last asked in it; `since`: put aside then."""

    before_it: int = 0  # used already when the limit was set
    debt: int = 0
    allowed: int | None = None
    put_aside: dict[str, int] = field(default_factory=dict)
    since: dict[str, datetime] = field(default_factory=dict)
    booked: dict[str, int] = field(default_factory=dict)

    @property
    def used(self) -> int:
        return self.before_it + sum(self.booked.values())

    @property
    def reserved(self) -> int:
        return sum(self.put_aside.values())


class PlainLimits:
    """By the limits' keys."""

    def __init__(self) -> None:
        self.limits: dict[int, Limit] = {}
        self.windows: dict[tuple[int, datetime], Counted] = {}
        self.unlimited: dict[str, datetime] = {}

    def set(self, key: int, limit: Limit, now: datetime, used: int, still_open: Sequence[Open]) -> None:
        """`used` by what has ended. What is open counts as if it had been asked now, however little is left."""
        self.limits[key] = limit
        if used and limit.unit != "running":
            self.windows[key, limit.start(now)] = Counted(before_it=used)
        for each in still_open:
            if limit.binds(each.person, each.model):
                self._put_aside(key, limit, each.wish, each.takes, now)

    def drop(self, key: int) -> None:
        del self.limits[key]
        self.windows = {at: counted for at, counted in self.windows.items() if at[0] != key}

    def reserve(self, wish: str, person: int, model: str, amounts: Takes, now: datetime) -> bool:
        """False, and nothing has changed but that the windows were opened, where any of them has no room."""
        bound = [(key, limit) for key, limit in self.limits.items() if limit.binds(person, model)]
        if not bound:
            self.unlimited[wish] = now
        debts = {key: self._debt(key, limit, now) for key, limit in bound}
        for key, limit in bound:
            counted = self.windows.get((key, limit.start(now)), Counted())
            if counted.used + counted.reserved + debts[key] + amounts.of(limit.unit) > limit.amount:
                return False
        for key, limit in bound:
            counted = self._put_aside(key, limit, wish, amounts, now)
            counted.debt, counted.allowed = debts[key], max(counted.allowed or 0, limit.amount)
        return True

    def book(self, wish: str, amounts: Takes) -> None:
        self.unlimited.pop(wish, None)
        for key, counted in self._of(wish):
            counted.put_aside.pop(wish, None)
            counted.booked[wish] = 0 if self.limits[key].unit == "running" else amounts.of(self.limits[key].unit)

    def expire(self, now: datetime) -> None:
        """With the first of it that is late all that is put aside for a wish is given back."""
        since = list(self.unlimited.items())
        since += [(wish, counted.since[wish]) for counted in self.windows.values() for wish in counted.put_aside]
        for late in {wish for wish, at in since if at + OPEN_FOR < now}:
            self.unlimited.pop(late, None)
            for counted in self.windows.values():
                counted.put_aside.pop(late, None)

    def holds(self, wish: str) -> bool:
        """Something is put aside for it. That goes with its limit; where none applied it stands by itself."""
        return wish in self.unlimited or any(wish in counted.put_aside for _key, counted in self._of(wish))

    def _put_aside(self, key: int, limit: Limit, wish: str, takes: Takes, now: datetime) -> Counted:
        counted = self.windows.setdefault((key, limit.start(now)), Counted())
        counted.put_aside[wish], counted.since[wish], counted.booked[wish] = takes.of(limit.unit), now, 0
        return counted

    def _of(self, wish: str) -> Iterator[tuple[int, Counted]]:
        return ((key, counted) for (key, _start), counted in self.windows.items() if wish in counted.booked)

    def _debt(self, key: int, limit: Limit, now: datetime) -> int:
        """What the window before took too much, at most half of what is allowed now."""
        before = self.windows.get((key, limit.before(limit.start(now)))) if limit.unit != "running" else None
        if before is None or before.allowed is None:
            return 0
        return min(max(before.used + before.debt - before.allowed, 0), limit.amount // 2)
