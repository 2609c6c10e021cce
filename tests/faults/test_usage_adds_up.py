"""After calls, stops and a killed runner: CSV, page, roll-up, ledger, generations and the engine's log say the same."""

from __future__ import annotations

import asyncio
import csv
import html
import io
import re
import urllib.request
from collections import Counter
from typing import Any

import httpx

from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import MODEL, Person, Stack
from tests.tab import Tab

LONG = 90
CALLS, STOPS = 12, 3
SUMS = """
from django.db.models import Count, Sum
from accounts.models import UsageDay
u = User.objects.get(pk=pk)
names = ('prompt_tokens', 'thinking_tokens', 'answer_tokens')
sums = lambda rows: [rows.aggregate(s=Sum(name))['s'] for name in names]
result = dict(rollup=sums(UsageDay.objects.filter(ledger_id=u.ledger_id)),
    ledger=sums(LedgerEntry.objects.filter(ledger_id=u.ledger_id)), generations=sums(Generation.objects.filter(user=u)),
    output={g.message.parent.text: [g.state, g.thinking_tokens + g.answer_tokens]
        for g in Generation.objects.filter(user=u).select_related('message__parent')})
"""


async def test_every_token_is_in_every_account_once(stack: Stack) -> None:
    person = stack.person()
    stack.manage("collectstatic", "--noinput", "--verbosity", "0")  # for the page
    key = stack.manage("api_token", "create", person.name, "--name", "t").strip()
    async with Tab(stack, person) as tab, httpx.AsyncClient(base_url=stack.url(), timeout=LONG) as http:
        await asyncio.gather(*(_call(http, key, f"say {number}+{2 * number}") for number in range(1, CALLS + 1)))
        for _ in range(STOPS):
            shown = await tab.ask(question("say 20+5000"))
            await until_async(lambda shown=shown: shown.answer, "it is in the middle", LONG)
            await tab.send("stop", id="stop", generation=shown.generation)
        again = await tab.ask(question("say 20+400"))
        await until_async(lambda: again.answer, "it is in the middle", LONG)
        stack.runner.kill9()
        stack.runner.start()
        await tab.settled(seconds=LONG)
        asked = CALLS + STOPS + 1
        await until_async(lambda: _requests(stack, person) == asked, "the leader has added all up", LONG)
        await until_async(lambda: _is_added_up(stack, person), "the second part is added up too", LONG)
        assert violations(stack, [tab]) == []
    sums = stack.orm(SUMS, pk=person.pk)
    rows = _csv(stack, person)
    assert sums["generations"] == sums["ledger"] == sums["rollup"]
    assert [sum(int(row[name]) for row in rows) for name in rows[0] if name in _NAMES] == sums["rollup"]
    prompt, thinking, answer = (f"{count:,}" for count in sums["rollup"])
    assert f"All {asked} {prompt} 0 {thinking} {answer} " in _page(stack, person)
    _compare_with_engine(stack, sums["output"])
    assert "add up" in stack.manage("check_ledger")


def _is_added_up(stack: Stack, person: Person) -> bool:
    sums = stack.orm(SUMS, pk=person.pk)
    return bool(sums["rollup"] == sums["ledger"])


_NAMES = ("prompt_tokens", "thinking_tokens", "answer_tokens")


async def _call(http: httpx.AsyncClient, key: str, script: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": question(script)}]}
    answer = await http.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text


def _compare_with_engine(stack: Stack, output: dict[str, Any]) -> None:
    """What was read to its end is the same number there; of what was cut off it may have written more than was read."""
    asked: dict[int, str] = {}
    written: Counter[str] = Counter()
    for entry in stack.engine_entries():
        if entry["event"] == "start":
            asked[entry["id"]] = entry["user"]
        else:
            written[asked[entry["id"]]] += entry["tokens"]
    done = {text: tokens for text, (state, tokens) in output.items() if state == "done"}
    gone_on = {text for text in done if "say 20+400" in text}
    whole = {text: tokens for text, tokens in done.items() if text not in gone_on}
    assert len(whole) == CALLS and whole == {text: written[text] for text in whole}
    assert [done[text] for text in gone_on] == [420]
    cut = {text: (state, tokens, written[text]) for text, (state, tokens) in output.items() if text not in whole}
    assert all(0 < read <= sent for _state, read, sent in cut.values()), cut


def _requests(stack: Stack, person: Person) -> int:
    return sum(int(row["requests"]) for row in _csv(stack, person))


def _csv(stack: Stack, person: Person) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_get(stack, person, "/usage/usage.csv"))))


def _page(stack: Stack, person: Person) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", _get(stack, person, "/usage/"))).split())


def _get(stack: Stack, person: Person, path: str) -> str:
    request = urllib.request.Request(f"{stack.url()}{path}", headers={"Cookie": f"sessionid={person.session}"})
    with urllib.request.urlopen(request, timeout=LONG) as response:
        return str(response.read().decode())
