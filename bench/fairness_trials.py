"""What is tried on the simulated box, with several seeds: a hog, two models on one card, a flood of scripts, ranges."""

from __future__ import annotations

import random
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from bench.simulated_box import (
    MODEL,
    OTHER,
    Box,
    FirstCome,
    Holds,
    Question,
    arrivals,
    as_they_come,
    collated,
    collated_without_bound,
    long_tailed,
)
from chat import collation
from chat.line import SCRIPT, Line

MINUTE, HOUR = 60_000.0, 3_600_000.0
SLOTS, CAP = 8, 4
SEEDS = range(5)
HOG, LOAD_MS = 0, 50_000.0
MEAN_MS = 30_000.0


def jain(shares: Iterable[float]) -> float:
    """1: all got the same; 1 ÷ n: one got it all."""
    found = list(shares)
    return sum(found) ** 2 / (len(found) * sum(each * each for each in found)) if any(found) else 0.0


@dataclass(frozen=True)
class Shared:
    """Of `trial`: Jain's index over GPU time, how full the slots were, the longest wait of another than the hog."""

    jain: float
    utilisation: float
    longest_wait_ms: float


def hog(seed: int, *, is_fair: bool) -> Shared:
    """500 × 60 s at once, and a second later nine people who always have four questions in the line; 30 minutes."""
    chance, until = random.Random(seed), 30 * MINUTE
    means = {flow: chance.uniform(10_000, 60_000) for flow in range(1, 10)}

    def again(question: Question, now: float) -> Question | None:
        if question.flow == HOG:
            return None
        return Question(now, question.flow, long_tailed(chance, means[question.flow]))

    box = Box(Line(running_per_flow=CAP) if is_fair else FirstCome(running_per_flow=CAP), slots=SLOTS, again=again)
    questions = [Question(0, HOG, MINUTE) for _ in range(500)]
    questions += [Question(1_000, flow, long_tailed(chance, mean)) for flow, mean in means.items() for _ in range(CAP)]
    box.run(questions, until)
    waits = [(until if each.begun is None else each.begun) - each.at for each in box.asked if each.flow != HOG]
    return Shared(
        jain(box.served.get(flow, 0.0) for flow in range(10)), sum(box.served.values()) / SLOTS / until, max(waits)
    )


@dataclass(frozen=True)
class Swapped:
    """`used` of the card answered. Waits in ms; `bound_ms` is what is published for the rarer model."""

    used: float
    swaps_an_hour: float
    common_p95_ms: float
    rare_longest_ms: float
    bound_ms: float


def two_models(seed: int, *, common: float, holds: Holds) -> Swapped:
    """Poisson, `common` of the card for one model and 5 % for the other, four hours; a load takes 50 s."""
    chance, until = random.Random(seed), 4 * HOUR
    first_come = holds is as_they_come
    line = FirstCome(running_per_flow=CAP) if first_come else Line(running_per_flow=CAP)

    def stream(model: str, load: float) -> list[Question]:
        def make(now: float) -> Question:
            return Question(now, chance.randrange(40), long_tailed(chance, MEAN_MS), model)

        return arrivals(chance, until=until, every=MEAN_MS / SLOTS / load, make=make)

    questions = stream(MODEL, common) + stream(OTHER, 0.05)
    box = Box(line, slots=SLOTS, load_ms=LOAD_MS, holds=holds)
    box.run(questions, until)
    waits: dict[str, list[float]] = {MODEL: [], OTHER: []}
    for each in box.asked:
        waits[each.model].append((until if each.begun is None else each.begun) - each.at)
    longest_answer = max(each.ms for each in box.asked)
    return Swapped(
        sum(box.served.values()) / SLOTS / until,
        box.swaps / (until / HOUR),
        statistics.quantiles(waits[MODEL], n=20)[-1],
        max(waits[OTHER]),
        collation.bound_ms(round(LOAD_MS), round(longest_answer)),
    )


def script_flood(seed: int, *, count: int = 300) -> float:
    """The longest wait of a person, ms: 20 people at 83 % of the box, and calls of a script after an idle hour."""
    chance, flood, until = random.Random(seed), HOUR, 1.5 * HOUR

    def make(now: float) -> Question:
        return Question(now, chance.randrange(20), long_tailed(chance, 20_000))

    people = arrivals(chance, until=until, every=20_000 / SLOTS / 0.83, make=make)
    calls = [Question(flood, 99, long_tailed(chance, 20_000), class_=SCRIPT) for _ in range(count)]
    box = Box(Line(running_per_flow=CAP), slots=SLOTS)
    box.run(people + calls, until)
    late = [each for each in box.asked if each.flow != 99 and each.at >= flood]
    return max((until if each.begun is None else each.begun) - each.at for each in late)


def kept_ranges(seed: int) -> list[Question]:
    """Those who waited longer than 3 s in a box at 97 %, with the range that they were told first."""
    chance, until = random.Random(seed), 3 * HOUR
    means = [chance.uniform(8_000, 60_000) for _ in range(20)]

    def make(now: float) -> Question:
        flow = chance.randrange(len(means))
        return Question(now, flow, long_tailed(chance, means[flow]))

    box = Box(Line(running_per_flow=CAP), slots=SLOTS, is_telling=True)
    box.run(arrivals(chance, until=until, every=statistics.mean(means) / SLOTS / 0.97, make=make), until)
    return [each for each in box.asked if each.told and each.waited is not None and each.waited > 3_000]


POLICIES: dict[str, Holds] = {
    "first come, first served": as_they_come,
    "collated, without a bound": collated_without_bound,
    "as here": collated,
}


def share_held(questions: list[Question]) -> float:
    """How many of them began within the range that they were told first."""
    return statistics.mean(
        each.told is not None and each.waited is not None and each.told[0] <= each.waited <= each.told[1]
        for each in questions
    )
