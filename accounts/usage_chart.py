"""Bars by day, stacked by model, in the units of their picture. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import floor, log10

WIDTH, LEFT, RIGHT, GROUND, CEILING = 880, 44, 8, 190.0, 34.0
SERIES = 4
BARS_MOST = 100
LABELS_MOST = 15


@dataclass(frozen=True)
class Amount:
    """So much of a model on a day."""

    day: date
    model_key: str
    amount: float


@dataclass(frozen=True)
class Series:
    """A model's colour; `model_key` is '' for all that have none of their own."""

    model_key: str
    look: str


@dataclass(frozen=True)
class Part:
    look: str
    y: str
    height: str


@dataclass(frozen=True)
class Bar:
    """One day, or `days` of them from `day` on."""

    day: date
    days: int
    x: str
    middle: str
    width: str
    amount: float
    parts: tuple[Part, ...]
    has_label: bool


@dataclass(frozen=True)
class Line:
    amount: float
    y: str
    text_y: str


@dataclass(frozen=True)
class Chart:
    series: tuple[Series, ...]
    bars: tuple[Bar, ...]
    grid: tuple[Line, ...]
    limit: Line | None

    @property
    def highest(self) -> Bar | None:
        return max(self.bars, key=lambda bar: bar.amount, default=None)


def drawn(amounts: Sequence[Amount], *, first: date, last: date, limit: float | None = None) -> Chart:
    """`limit` is of a day, and is drawn only where a bar is one."""
    days = (last - first).days + 1
    step = 1 if days <= BARS_MOST else 7
    series = _series(amounts)
    stacks = _stacks(amounts, last, step, {each.model_key: each.look for each in series})
    begins = [last - timedelta(days=at + step - 1) for at in range(0, days, step)][::-1]
    most = max((sum(stacks[begin].values()) for begin in begins), default=0.0)
    limit = limit if step == 1 else None
    scale = (GROUND - CEILING) / (max(most, limit or 0) or 1)
    pitch, every = (WIDTH - LEFT - RIGHT) / len(begins), -(-len(begins) // LABELS_MOST)
    bars = tuple(
        _bar(begin, step, LEFT + pitch * at, pitch, stacks[begin], scale, series, (len(begins) - 1 - at) % every == 0)
        for at, begin in enumerate(begins)
    )
    grid = tuple(_line(amount, scale) for amount in ticks(max(most, limit or 0)))
    return Chart(series, bars, grid, _line(limit, scale) if limit else None)


def ticks(most: float) -> list[float]:
    """Round numbers from 0 on, at most five."""
    if most <= 0:
        return [0]
    size = 10.0 ** floor(log10(most / 4))
    step = next(size * by for by in (1, 2, 5, 10) if most / (size * by) <= 4)
    return [step * number for number in range(int(most / step) + 1)]


def _series(amounts: Iterable[Amount]) -> tuple[Series, ...]:
    """The models with the most have colours."""
    sums: dict[str, float] = defaultdict(float)
    for each in amounts:
        sums[each.model_key] += each.amount
    keys = sorted((key for key in sums if sums[key]), key=lambda key: (-sums[key], key))
    own = [Series(key, f"series-{number}") for number, key in enumerate(keys[:SERIES], 1)]
    return (*own, *([Series("", "series-rest")] if keys[SERIES:] else []))


def _stacks(amounts: Iterable[Amount], last: date, step: int, looks: dict[str, str]) -> dict[date, dict[str, float]]:
    """First day of a bar → look → amount. The last bar ends with the last day."""
    stacks: dict[date, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    for each in amounts:
        begin = last - timedelta(days=(last - each.day).days // step * step + step - 1)
        stacks[begin][looks.get(each.model_key, "series-rest")] += each.amount
    return stacks


def _bar(
    day: date,
    days: int,
    x: float,
    pitch: float,
    stack: dict[str, float],
    scale: float,
    series: Iterable[Series],
    has_label: bool,
) -> Bar:
    width = min(30.0, pitch * 0.7)
    parts, y = [], GROUND
    for each in series:
        if height := stack.get(each.look, 0) * scale:
            y -= height
            parts.append(Part(each.look, f"{y:.1f}", f"{max(0.6, height - (1.5 if height > 3 else 0)):.1f}"))
    left = x + (pitch - width) / 2
    return Bar(
        day,
        days,
        f"{left:.1f}",
        f"{left + width / 2:.1f}",
        f"{width:.1f}",
        sum(stack.values()),
        tuple(parts),
        has_label,
    )


def _line(amount: float, scale: float) -> Line:
    y = GROUND - amount * scale
    return Line(amount, f"{y:.1f}", f"{y + 4:.1f}")
