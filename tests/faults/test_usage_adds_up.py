"""After calls, stops and a killed runner: CSV, page, roll-up, ledger, generations and the engine's log say the same."""

from __future__ import annotations

import asyncio
from collections import Counter

import httpx

from tests.faults import usage_told
from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import MODEL, Stack
from tests.tab import Tab

LONG = 90
CALLS, STOPS = 12, 3
OUTPUT = """
rows = Generation.objects.filter(user=pk).select_related('message__parent')
result = {g.message.parent.text: [g.state, g.thinking_tokens + g.answer_tokens] for g in rows}
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
        await until_async(
            lambda: usage_told.csv_sum(usage_told.csv_rows(stack, person), "requests") == asked, "all is added up", LONG
        )
        await until_async(lambda: usage_told.is_added_up(stack, person), "the second part is added up too", LONG)
        assert violations(stack, [tab]) == []
    sums, rows = usage_told.sums(stack, person), usage_told.csv_rows(stack, person)
    assert sums["generations"] == sums["ledger"] == sums["rollup"]
    assert [usage_told.csv_sum(rows, name) for name in usage_told.COUNTED] == sums["rollup"]
    prompt, thinking, answer = (f"{count:,}" for count in sums["rollup"])
    assert f"All {asked} {prompt} 0 {thinking} {answer} " in usage_told.page(stack, person)
    _compare_with_engine(stack, stack.orm(OUTPUT, pk=person.pk))
    assert "add up" in stack.manage("check_ledger")


async def _call(http: httpx.AsyncClient, key: str, script: str) -> None:
    body = {"model": MODEL, "messages": [{"role": "user", "content": question(script)}]}
    answer = await http.post("/v1/chat/completions", json=body, headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 200, answer.text


def _compare_with_engine(stack: Stack, output: dict[str, list[object]]) -> None:
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
    cut = {text: (tokens, written[text]) for text, (_state, tokens) in output.items() if text not in whole}
    assert all(0 < read <= sent for read, sent in cut.values()), cut  # type: ignore[operator]
