"""A thousand calls while web, runners, leader and engine are killed at random: every account says the same, to the
token, and what the engine noted itself is what was billed."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import httpx
import pytest

from tests.faults import usage_told
from tests.faults.asking import question
from tests.faults.engine_account import strange_parts
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import MODEL, Person, Stack
from tests.tab import Tab

pytestmark = pytest.mark.long
SEED = 8
CALLS, FAULTS, PEOPLE = 1_000, 16, 3
TABS_ASK, TOKENS_CALL = 3, 6  # at the same time, of each person
STOPPED_PART = 0.06
LONG = 180
LIMITS = """
for unit, amount in (('gpu_ms', 10**9), ('output_tokens', 10**8), ('requests', 10**6), ('running', 10**4)):
    QuotaLimit.objects.create(subject_kind='user', subject_id=pk, unit=unit, window='month', amount=amount)
"""
LIVE = "result = Generation.objects.filter(state__in=Generation.LIVE).count()"
COUNTED = """
from django.db.models import Sum
u = User.objects.get(pk=pk)
mine = LedgerEntry.objects.filter(ledger_id=u.ledger_id)
of_ledger = mine.aggregate(gpu=Sum('gpu_ms_charged'), t=Sum('thinking_tokens'), a=Sum('answer_tokens'))
counters = QuotaCounter.objects.filter(limit__subject_kind='user', limit__subject_id=pk).values('limit__unit')
result = dict(
    ledger=dict(gpu_ms=of_ledger['gpu'], output_tokens=of_ledger['t'] + of_ledger['a'],
        requests=mine.filter(key__endswith='/use').count(), running=0),
    limits={row['limit__unit']: row['s'] for row in counters.annotate(s=Sum('used'))},
    line=Generation.objects.filter(user=u).aggregate(s=Sum('gpu_ms'))['s'])
"""


@dataclass
class Course:
    """How far it is. `ended` counts calls that were answered, refused or broken off."""

    chance: random.Random
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(CALLS)))
    ended: int = 0
    broken: int = 0
    kills: Counter[str] = field(default_factory=Counter)

    def script(self) -> str:
        return f"say {self.chance.randint(0, 20)}+{self.chance.randint(1, 60)}"


@contextmanager
def site() -> Iterator[Stack]:
    """Two runners, so that one can lead while the other is dead, and fewer slots than are asked for."""
    stack = Stack(slots=16, pace=150, runners=2)
    try:
        yield stack.start()
    finally:
        stack.end()


async def test_a_thousand_calls_with_random_kills_add_up() -> None:
    with site() as stack:
        stack.manage("collectstatic", "--noinput", "--verbosity", "0")  # for the page
        course, people = Course(random.Random(SEED)), [stack.person() for _ in range(PEOPLE)]
        for person in people:
            stack.orm(LIMITS, pk=person.pk)
        tabs = [Tab(stack, person) for person in people]
        try:
            for tab in tabs:
                await tab.__aenter__()
            askers = [_ask(tab, course) for tab in tabs for _ in range(TABS_ASK)]
            callers = [_call(stack, _token(stack, each, n), course) for each in people for n in range(TOKENS_CALL)]
            await asyncio.gather(_break_things(stack, course), *askers, *callers)
            await until_async(lambda: stack.orm(LIVE) == 0, "all have ended", LONG)
            await until_async(
                lambda: all(usage_told.is_added_up(stack, each) for each in people), "all is added up", LONG
            )
            assert violations(stack, tabs) == []
        finally:
            for tab in tabs:
                await tab.__aexit__()
        generations, summary = strange_parts(stack)
        print(f"\n{course.kills} {course.broken} calls broken off; {summary}")
        assert generations == []
        for person in people:
            _compare(stack, person)
        assert "add up" in stack.manage("check_ledger")
        assert stack.orm("result = Generation.objects.count()") >= CALLS
        assert stack.orm("from chat.models import Line; result = Line.objects.get(name='site').term") > 1


def _token(stack: Stack, person: Person, number: int) -> str:
    """Every second one is of the background class."""
    words = ["api_token", "create", person.name, "--name", f"t{number}"]
    key = stack.manage(*words).strip()
    if number % 2:
        stack.orm(
            "ApiToken.objects.filter(user=pk, name=name).update(is_background=True)", pk=person.pk, name=words[-1]
        )
    return key


async def _ask(tab: Tab, course: Course) -> None:
    """By the page: a wish that got no answer is sent again with its key, and stays one."""
    for _ in course.numbers:
        text, key = question(course.script()), str(uuid.uuid4())
        stops = course.chance.random() < STOPPED_PART
        while True:
            before = tab.connections
            with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                shown = await asyncio.wait_for(tab.ask(text, key=key), 10)
                if stops:
                    await until_async(lambda shown=shown: shown.thinking or shown.answer, "it begins", LONG)
                    await tab.stop(shown)
                break
            with suppress(AssertionError):
                await until_async(lambda before=before: tab.connections > before, "the socket is back", 10)
        await tab.settled(shown, seconds=LONG)
        course.ended += 1


async def _call(stack: Stack, key: str, course: Course) -> None:
    """By a script: a call that a dead web server breaks off goes on without its caller, who asks something new."""
    async with httpx.AsyncClient(
        base_url=stack.url(), headers={"Authorization": f"Bearer {key}"}, timeout=LONG
    ) as http:
        for _ in course.numbers:
            while not await _is_answered(http, course):
                course.broken += 1
                await asyncio.sleep(0.3)  # nobody says when it is back
            course.ended += 1


async def _is_answered(http: httpx.AsyncClient, course: Course) -> bool:
    body = {"model": MODEL, "messages": [{"role": "user", "content": question(course.script())}], "stream": True}
    leaves = course.chance.random() < STOPPED_PART
    last = ""
    try:
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for line in answer.aiter_lines():
                last = line or last
                if leaves and "content" in line:
                    return True
    except httpx.TransportError:
        return False
    return last == "data: [DONE]" or '"error"' in last


async def _break_things(stack: Stack, course: Course) -> None:
    """One kill after every so many calls, each followed by its start."""
    faults = ["web", "runner0", "runner1", "runners", "engine"]
    for number in range(1, FAULTS + 1):
        due = number * CALLS // (FAULTS + 1)
        await until_async(lambda due=due: course.ended >= due, f"{due} calls have ended", LONG)
        name = faults[number - 1] if number <= len(faults) else course.chance.choice(faults)
        course.kills[name] += 1
        chosen = (
            stack.runners
            if name == "runners"
            else [each for each in stack.processes if name in (each.name, each.name[:-1])]
        )
        for process in chosen:
            process.kill9()
        for process in chosen:
            process.start()


def _compare(stack: Stack, person: Person) -> None:
    sums, rows = usage_told.sums(stack, person), usage_told.csv_rows(stack, person)
    assert sums["generations"] == sums["ledger"] == sums["rollup"]
    assert [usage_told.csv_sum(rows, name) for name in usage_told.COUNTED] == sums["rollup"]
    counted: dict[str, Any] = stack.orm(COUNTED, pk=person.pk)
    assert counted["limits"] == counted["ledger"]
    assert counted["line"] == counted["ledger"]["gpu_ms"]
    requests = usage_told.csv_sum(rows, "requests")
    assert requests == counted["ledger"]["requests"]
    prompt, thinking, answer = (f"{count:,}" for count in sums["rollup"])
    assert f"All {requests:,} {prompt} 0 {thinking} {answer} " in usage_told.page(stack, person)
