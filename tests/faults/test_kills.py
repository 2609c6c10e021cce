"""Each process is killed, paused or emptied in the middle of an answer: nothing is lost, doubled or stuck."""

from __future__ import annotations

from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until, until_async
from tests.stack import Stack
from tests.tab import Shown, Tab

LONG = 90


async def test_a_killed_web_server_costs_no_token(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await _in_the_middle(tab, "say 50+400")
        stack.web.kill9()
        stack.web.start()
        await tab.settled(shown, seconds=LONG)
        assert tab.connections > 1
        assert _state(shown) == ("done", "")
        assert violations(stack, [tab]) == []


async def test_two_web_servers_and_two_tabs_show_the_same(stack: Stack) -> None:
    person, number = stack.person(), stack.add_web()
    async with Tab(stack, person) as first, Tab(stack, person, web=number) as second:
        shown = await _in_the_middle(first, "say 20+200")
        await second.watch(shown.generation)
        await first.settled(seconds=LONG)
        await second.settled(seconds=LONG)
        assert violations(stack, [first, second]) == []


async def test_those_who_wait_for_a_dead_engine_keep_their_place(stack: Stack) -> None:
    stack.set_slots(1)
    async with Tab(stack, stack.person()) as tab:
        first = await _in_the_middle(tab, "say 20+300")
        waiting = [await tab.ask(question("say 1+3")) for _ in range(3)]
        stack.engine.kill9()
        await until_async(lambda: "no_engine" in _reasons(tab), "they are told why they wait", LONG)
        stack.engine.start()
        await tab.settled(first, *waiting, seconds=LONG)
        assert {_state(shown) for shown in (first, *waiting)} == {("done", "")}
        assert violations(stack, [tab]) == []


async def test_redis_killed_and_restarted_costs_nothing(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await _in_the_middle(tab, "say 20+600")
        stack.redis.kill9()
        stack.redis.start()
        await tab.settled(shown, seconds=LONG)
        assert _state(shown) == ("done", "")
        assert violations(stack, [tab]) == []


async def test_redis_emptied_costs_nothing(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await _in_the_middle(tab, "say 20+400")
        stack.redis_command("FLUSHALL")
        late = await tab.ask(question("say 5+10"))
        await tab.settled(shown, late, seconds=LONG)
        assert (_state(shown), _state(late)) == (("done", ""), ("done", ""))
        assert violations(stack, [tab]) == []


async def test_a_paused_runner_writes_nothing_when_it_wakes(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await _in_the_middle(tab, "say 20+3000")
        stack.add_runner()
        stack.runner.pause()
        await tab.settled(shown, seconds=LONG)
        stack.runner.resume()
        await until_async(lambda: "lease lost" in stack.runner_log(), "it notices", LONG)
        await until_async(lambda: stack.busy_slots() == 0, "the engine's slot is free", LONG)
        assert _state(shown) == ("done", "")
        assert violations(stack, [tab]) == []


async def test_a_new_leader_keeps_the_order_of_the_line(stack: Stack) -> None:
    stack.set_slots(1)
    async with Tab(stack, stack.person()) as tab:
        await _in_the_middle(tab, "say 20+1500")
        waiting = [question("say 1+3") for _ in range(50)]
        for text in waiting:
            await tab.ask(text)
        stack.add_runner()
        stack.runner.kill9()
        await tab.settled(seconds=2 * LONG)
        started = [entry["user"] for entry in stack.engine_entries() if entry["event"] == "start"]
        assert [text for text in started if text in waiting] == waiting
        assert violations(stack, [tab]) == []


async def test_ending_everything_under_load_loses_no_token(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        for _ in range(20):
            await tab.ask(question("say 20+500"))
        await until_async(lambda: all(shown.thinking for shown in tab.shown.values()), "all begin", LONG)
        for process in (stack.web, stack.runner):
            process.terminate()
        stack.runner.running.wait(LONG)
        for process in (stack.engine, stack.redis):
            process.terminate()
        until(lambda: not any(process.is_alive for process in stack.processes), "everything has ended", LONG)
        stack.revive()
        await tab.settled(seconds=LONG)
        assert {_state(shown) for shown in tab.shown.values()} == {("done", "")}
        assert tab.heard("bye")[0]["text"] == "restart"
        assert violations(stack, [tab]) == []


async def _in_the_middle(tab: Tab, script: str) -> Shown:
    shown = await tab.ask(question(script))
    await until_async(lambda: shown.answer, "the answer begins", LONG)
    return shown


def _state(shown: Shown) -> tuple[str, str]:
    assert shown.settled is not None
    return shown.settled["state"], shown.settled["reason"]


def _reasons(tab: Tab) -> set[str]:
    return {frame["reason"]["code"] for frame in tab.heard("waiting")}
