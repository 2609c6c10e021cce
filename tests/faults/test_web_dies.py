"""Web servers come and go; an answer never notices."""

from __future__ import annotations

from collections.abc import Callable

from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import Stack
from tests.tab import Tab


async def test_a_killed_web_server_costs_no_token(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack()
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(question("say 50+300"))
        await until_async(lambda: shown.answer, "the answer begins")
        stack.web.kill9()
        stack.web.start()
        await tab.settled(shown)
        assert tab.connections > 1
        assert shown.settled and shown.settled["state"] == "done"
        assert violations(stack, [tab]) == []


async def test_two_web_servers_and_two_tabs_show_the_same(start_stack: Callable[..., Stack]) -> None:
    stack = start_stack(webs=2)
    person = stack.person()
    async with Tab(stack, person) as first, Tab(stack, person, web=1) as second:
        shown = await first.ask(question("say 20+200"))
        await until_async(lambda: shown.answer, "the answer begins")
        other = await second.watch(shown.generation)
        await first.settled(shown)
        await second.settled(other)
        assert violations(stack, [first, second]) == []
