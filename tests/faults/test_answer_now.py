"""A thought that is ended, by its person or by a budget, and the answer that is written from it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import Stack
from tests.tab import Shown, Tab

LONG = 90


@pytest.fixture
def budgets(stack: Stack) -> Iterator[None]:
    yield
    stack.orm("CatalogueModel.objects.update(thinking_budget=None); ModelAccess.objects.all().delete()")


async def test_the_answer_is_written_from_what_was_thought(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        text = question("say 900+20")
        shown = await tab.ask(text)
        await until_async(lambda: len(shown.thinking) > 60, "it thinks", LONG)
        await tab.wish("answer_now", generation=shown.generation)
        await tab.settled(shown, seconds=LONG)
        assert shown.settled and shown.settled["state"] == "done"
        assert shown.answer.endswith("t0920") and shown.thinking.startswith("t0001") and len(shown.thinking) < 5000
        assert "answer_now" in {frame["stage"] for frame in tab.heard("stage")}
        assert begun(stack, text) == [0, len(shown.thinking.split())]
        assert violations(stack, [tab]) == []


async def test_somebody_elses_thought_goes_on(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab, Tab(stack, stack.person()) as other:
        shown = await tab.ask(question("say 200+5"))
        await until_async(lambda: shown.thinking, "it thinks", LONG)
        refused = await other.wish("answer_now", generation=shown.generation)
        assert (refused["type"], refused["code"]) == ("error", "not_found")
        await tab.settled(shown, seconds=LONG)
        assert shown.thinking.endswith("t0200")


async def test_a_budget_ends_it_and_a_persons_own_counts_first(stack: Stack, budgets: None) -> None:
    stack.orm("CatalogueModel.objects.update(thinking_budget=30)")
    rich = stack.person()
    stack.orm(
        "ModelAccess.objects.create(model=CatalogueModel.objects.get(), user_id=pk, thinking_budget=60)", pk=rich.pk
    )
    for person, budget in ((stack.person(), 30), (rich, 60)):
        async with Tab(stack, person) as tab:
            shown = await tab.ask(question("say 400+20"))
            await tab.settled(shown, seconds=LONG)
            assert budget <= len(shown.thinking.split()) < budget + 15
            assert shown.answer.endswith("t0420")
            assert end_of(stack, shown) == "budget"
            assert "budget_used_up" in {frame["stage"] for frame in tab.heard("stage")}
            assert violations(stack, [tab]) == []


def begun(stack: Stack, text: str) -> list[int]:
    """Tokens that were there already, by request at the engine."""
    return [entry["begun"] for entry in stack.engine_entries() if entry["event"] == "start" and entry["user"] == text]


def end_of(stack: Stack, shown: Shown) -> str:
    return str(stack.orm("result = Generation.objects.get(pk=pk).thinking_end", pk=shown.generation))
