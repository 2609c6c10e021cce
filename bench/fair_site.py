"""A whole site and an engine of known speed: one person asks 150 times at once, five others ask as usual."""

from __future__ import annotations

import asyncio
import random
import statistics
import uuid
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.fairness_trials import jain
from tests.stack import MODEL, Stack
from tests.tab import Tab

SLOTS, PACE, SECONDS = 6, 100, 100.0
HOG_QUESTIONS, PEOPLE, OPEN_EACH = 150, 5, 3
USED = """
from django.db.models import Sum
used = Generation.objects.order_by("user").values("user").annotate(ms=Sum("gpu_ms"))
result = list(used.values_list("ms", flat=True))
"""
WAITS = """
from django.db.models import F
rows = Generation.objects.filter(told_high_ms__isnull=False, released_at__isnull=False)
waits = rows.values_list(F("released_at") - F("created_at"), "told_low_ms", "told_high_ms")
result = [[waited.total_seconds() * 1000, low, high] for waited, low, high in waits]
"""


@dataclass(frozen=True)
class Seen:
    """By the database: Jain's index over charged GPU ms, and how first told ranges held. Errors in ms."""

    jain: float
    charged_of_all: float
    told: int
    held: float
    median_error_ms: float
    p90_error_ms: float


def run() -> Seen:
    stack = Stack(slots=SLOTS, pace=PACE, R1WEB_RUNNING_PER_USER="4")
    try:
        stack.start()
        stack.orm(
            "RateCard.objects.create(deployment=Deployment.objects.get(), prefill_us_per_token=100,"
            "decode_us_per_token=us)", us=round(1e6 / PACE),
        )  # fmt: skip
        asyncio.run(_ask(stack))
        used = stack.orm(USED)
        return _seen([float(ms or 0) for ms in used], stack.orm(WAITS))
    finally:
        stack.end()


async def _ask(stack: Stack) -> None:
    async with AsyncExitStack() as closing:
        hog, *others = [await closing.enter_async_context(Tab(stack, stack.person())) for _ in range(1 + PEOPLE)]
        for _ in range(HOG_QUESTIONS):
            await hog.wish("ask", key=str(uuid.uuid4()), text=_question(600), model=MODEL)
        tasks = [asyncio.create_task(_as_usual(tab, seed)) for seed, tab in enumerate(others) for _ in range(OPEN_EACH)]
        await asyncio.sleep(SECONDS)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _as_usual(tab: Tab, seed: int) -> None:
    """One question after the other, each of another length: 1 to 6 s."""
    chance = random.Random(seed)
    while True:
        shown = await tab.ask(_question(chance.randrange(100, 600)))
        await tab.settled(shown, seconds=SECONDS)


def _question(tokens: int) -> str:
    return f"say 20+{tokens - 20} [{uuid.uuid4().hex}]"


def _seen(used: list[float], waits: list[list[float]]) -> Seen:
    held = [low <= waited <= high for waited, low, high in waits]
    off = sorted(abs(waited - (low + high) / 2) for waited, low, high in waits)
    capacity = SECONDS * 1000
    return Seen(
        jain(used), sum(used) / capacity, len(waits), statistics.mean(held), statistics.median(off),
        off[int(0.9 * len(off))],
    )  # fmt: skip
