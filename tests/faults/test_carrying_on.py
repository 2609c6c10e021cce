"""An answer whose engine, runner or site dies goes on behind its text: nothing is lost, doubled or billed twice."""

from __future__ import annotations

import uuid
from typing import Any

from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import Stack
from tests.tab import Shown, Tab

LONG = 90
SEGMENTS = """
rows = Segment.objects.filter(generation__pk=pk).order_by('attempt')
result = [dict(tokens=s.thinking_tokens + s.answer_tokens, finish=s.finish, thinking=s.thinking_from, text=s.text_from,
    prompt=s.prompt_tokens, gpu_ms=s.gpu_ms) for s in rows]
"""
QUOTA = """
q = Reservation.objects.filter(generation_id=pk)
result = [[r.state, r.actual] for r in q]
"""


def segments(stack: Stack, shown: Shown) -> list[dict[str, Any]]:
    return list(stack.orm(SEGMENTS, pk=shown.generation))


def asked(stack: Stack, text: str) -> list[dict[str, Any]]:
    """What the engine noted of a question: `begun` tokens that were there, `tokens` that it wrote."""
    entries = stack.engine_entries()
    starts = [entry for entry in entries if entry["event"] == "start" and entry["user"] == text]
    ends = {entry["id"]: entry["tokens"] for entry in entries if entry["event"] == "close"}
    return [{"begun": entry["begun"], "tokens": ends.get(entry["id"])} for entry in starts]


def reasons(tab: Tab) -> dict[str, int]:
    """For how many answers it was told that their engine is gone."""
    gone = {frame["g"] for frame in tab.heard("waiting") if frame["reason"]["code"] == "no_engine"}
    return {"no_engine": len(gone)} if gone else {}


def state_of(shown: Shown) -> tuple[str, str]:
    assert shown.settled is not None
    return shown.settled["state"], shown.settled["reason"]


async def test_it_goes_on_behind_every_token(stack: Stack) -> None:
    """At the first token, in the thought, between thought and answer, at the answer's first token, in it."""
    places = (1, 7, 20, 21, 45, 79)
    asks = {question(f"say 20+60 die_after={place}"): place for place in places}
    async with Tab(stack, stack.person()) as tab:
        shown = {text: await tab.ask(text) for text in asks}
        await tab.settled(seconds=LONG)
        for text, place in asks.items():
            assert state_of(shown[text]) == ("done", ""), place
            assert shown[text].gaps == []
            parts = segments(stack, shown[text])
            assert [part["finish"] for part in parts] == ["engine_broke_off", "stop"]
            assert asked(stack, text) == [{"begun": 0, "tokens": place}, {"begun": place, "tokens": 80 - place}]
            assert [part["tokens"] for part in parts] == [place, 80 - place]
            booked = [["settled", sum(part["gpu_ms"] for part in parts)]]
            assert stack.orm(QUOTA, pk=shown[text].generation) == booked
        assert violations(stack, [tab]) == []


async def test_after_three_attempts_it_ends_with_its_text(stack: Stack) -> None:
    text = question("say 5+60 dies_every=10")
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(text)
        await tab.settled(seconds=LONG)
        assert state_of(shown) == ("failed", "engine_broke_off")
        assert [part["begun"] for part in asked(stack, text)] == [0, 10, 20]
        assert [part["tokens"] for part in segments(stack, shown)] == [10, 10, 10]
        assert shown.answer.endswith("t0125")
        assert violations(stack, [tab]) == []


async def test_it_is_stopped_in_the_gap_and_waits_there_for_its_engine(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        other = await tab.ask(question("say 5+900"))
        await until_async(lambda: other.answer, "the answer begins", LONG)
        stays = await tab.ask(question("say 5+200 exit_after=40"))
        await until_async(lambda: reasons(tab) == {"no_engine": 2}, "both are told what they wait for", LONG)
        assert sum(frame["stage"] == "gap" for frame in tab.heard("stage")) == 2
        await tab.stop(other)
        await tab.settled(other, seconds=LONG)
        assert state_of(other) == ("stopped", "stopped") and other.answer
        stack.engine.start()
        await tab.settled(stays, seconds=LONG)
        assert state_of(stays) == ("done", "")
        assert violations(stack, [tab]) == []


async def test_a_page_that_comes_in_the_gap_or_later_shows_all_of_it(stack: Stack) -> None:
    person = stack.person()
    async with Tab(stack, person) as tab:
        shown = await tab.ask(question("say 20+300 exit_after=60"))
        await until_async(lambda: reasons(tab), "it waits for the engine", LONG)
        async with Tab(stack, person) as late:
            seen = await late.watch(shown.generation)
            await until_async(lambda: seen.answer, "the text so far is shown", LONG)
            stack.engine.start()
            await late.settled(seconds=LONG)
            await tab.settled(seconds=LONG)
            assert violations(stack, [tab, late]) == []


async def test_it_outlasts_a_killed_runner(stack: Stack) -> None:
    text = question("say 20+600")
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(text)
        await until_async(lambda: len(shown.answer) > 100, "the answer begins", LONG)
        stack.runner.kill9()
        stack.runner.start()
        await tab.settled(shown, seconds=LONG)
        assert state_of(shown) == ("done", "")
        first, second = segments(stack, shown)
        assert (first["finish"], second["finish"]) == ("runner_lost", "stop")
        assert asked(stack, text)[1]["begun"] == first["tokens"] and second["text"] == 6 * (first["tokens"] - 20) - 1
        assert violations(stack, [tab]) == []


async def test_it_outlasts_a_drain_that_runs_out(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(question("say 20+2000"))
        await until_async(lambda: len(shown.answer) > 100, "the answer begins", LONG)
        stack.add_runner()
        stack.runner.terminate()
        await until_async(lambda: "Warm shutdown" in stack.runner_log(), "it drains", LONG)
        stack.runner.terminate()  # the second signal ends the drain
        await tab.settled(shown, seconds=LONG)
        assert state_of(shown) == ("done", "")
        assert [part["finish"] for part in segments(stack, shown)] == ["site_stopping", "stop"]
        assert violations(stack, [tab]) == []


async def test_what_broke_off_for_good_is_gone_on_with_by_a_second_wish(stack: Stack) -> None:
    text = question("say 5+60 dies_every=10")
    async with Tab(stack, stack.person()) as tab, Tab(stack, stack.person()) as other:
        broken = await tab.ask(text)
        await tab.settled(broken, seconds=LONG)
        message = stack.orm("result = str(Generation.objects.get(pk=pk).message_id)", pk=broken.generation)
        refused = await other.wish("continue", key=str(uuid.uuid4()), message=message)
        assert (refused["type"], refused["code"]) == ("error", "not_found")
        wishes = [("continue", "failed"), ("continue", "done")]
        for wish, end in wishes:
            made = await tab.wish(wish, key=str(uuid.uuid4()), message=message)
            assert (made["type"], made["answer"]) == ("accepted", message), made
            shown = await tab.watch(made["generation"])
            await tab.settled(shown, seconds=LONG)
            assert state_of(shown)[0] == end
        assert [part["begun"] for part in asked(stack, text)] == [0, 10, 20, 30, 40, 50, 60]
        assert shown.answer.endswith("t0160")
        assert [seam["tokens"] for seam in tab.heard("snapshot")[-1]["seams"]] == [10, 20, 30, 40, 50, 60]
