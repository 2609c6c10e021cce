"""Stopped at every token, killed in every state: what was read is what is billed, and nothing stays open."""

from __future__ import annotations

from tests.faults.asking import question
from tests.faults.engine_account import strange_parts
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import Stack
from tests.tab import Shown, Tab

LONG = 90
THINKING, ANSWER = 4, 6
BILLED = "result = [s.thinking_tokens + s.answer_tokens for s in Segment.objects.filter(generation=pk)]"


async def test_stopped_at_every_token_it_is_billed_to_there(stack: Stack) -> None:
    """The engine writes so many tokens and then nothing more, until it is stopped."""
    async with Tab(stack, stack.person()) as tab:
        shown = {
            count: await tab.ask(question(f"say {THINKING}+{ANSWER} hang_after={count}"))
            for count in range(THINKING + ANSWER)
        }
        for count, each in shown.items():
            await until_async(lambda count=count, each=each: _read(each) == count, f"{count} tokens are shown", LONG)
        await until_async(lambda: stack.busy_slots() == len(shown), "the engine has begun all", LONG)
        for each in shown.values():
            await tab.stop(each)
        await tab.settled(seconds=LONG)
        for count, each in shown.items():
            assert each.settled is not None and each.settled["state"] == "stopped"
            assert (_read(each), sum(stack.orm(BILLED, pk=each.generation))) == (count, count)
        assert violations(stack, [tab]) == []
        assert strange_parts(stack)[0] == []


async def test_killed_in_every_state_it_ends_and_is_billed_once(stack: Stack) -> None:
    """One waits, one is read by its engine, one thinks, one answers, one is done: then its runner is killed."""
    stack.set_slots(3)
    async with Tab(stack, stack.person()) as tab:
        done = await tab.ask(question("say 2+3"))
        await tab.settled(done, seconds=LONG)
        answers, thinks = await tab.ask(question("say 5+600")), await tab.ask(question("say 600+5"))
        await until_async(lambda: answers.answer and thinks.thinking, "one answers and one thinks", LONG)
        text = question("say 2+3 slow_first=3")
        await tab.ask(text)
        await until_async(lambda: _is_begun(stack, text), "the third is at the engine", LONG)
        waits = await tab.ask(question("say 2+3"))
        await until_async(lambda: waits.waits, "the fourth waits", LONG)
        stack.runner.kill9()
        stack.runner.start()
        await tab.settled(seconds=LONG)
        ends = [each.settled["state"] for each in tab.shown.values() if each.settled]
        assert ends == ["done"] * 5
        assert violations(stack, [tab]) == []
        assert strange_parts(stack)[0] == []


def _is_begun(stack: Stack, text: str) -> bool:
    return any(entry["event"] == "start" and entry["user"] == text for entry in stack.engine_entries())


def _read(shown: Shown) -> int:
    return len(shown.thinking.split()) + len(shown.answer.split())
