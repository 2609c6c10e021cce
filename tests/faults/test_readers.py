"""Slow, many, impatient and unwelcome readers."""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import pytest

from chat import protocol
from tests.faults.asking import question
from tests.invariants import violations
from tests.processes import until_async
from tests.stack import MODEL, Person, Stack
from tests.tab import Tab

LONG = 90
MEGABYTE = 1_000_000


@pytest.mark.concurrent
async def test_one_key_sent_twenty_times_at_once_is_one_message(stack: Stack) -> None:
    key, text = str(uuid.uuid4()), question("say 5+10")
    async with Tab(stack, stack.person()) as tab:
        wishes = [tab.wish("ask", key=key, text=text, model=MODEL) for _ in range(20)]
        answers = await asyncio.gather(*wishes)
        assert {answer["type"] for answer in answers} == {"accepted"}
        assert len({answer["generation"] for answer in answers}) == 1
        shown = await tab.watch(answers[0]["generation"])
        await tab.settled(shown, seconds=LONG)
        assert stack.orm("result = Message.objects.filter(text=text).count()", text=text) == 1
        assert violations(stack, [tab]) == []


async def test_a_reader_who_never_acknowledges_costs_little(stack: Stack) -> None:
    person, other = stack.person(), stack.person()
    async with Tab(stack, person, acks=False, returns=False) as mute, Tab(stack, other) as lively:
        await lively.settled(await lively.ask(question("say 5+10")), seconds=LONG)
        before = stack.web.memory()
        for _ in range(27):
            await mute.ask(question("say 0+1 big=1900000"))
        shown = await lively.ask(question("say 20+200"))
        await lively.settled(shown, seconds=LONG)
        await until_async(lambda: mute.closed_with, "the mute one is dropped", LONG)
        assert mute.closed_with == protocol.CLOSE_SLOW
        got = sum(len(each.answer) for each in mute.shown.values())
        assert got < protocol.SOCKET_CREDIT + protocol.SNAPSHOT_CHARACTERS
        assert stack.web.memory() - before < 30 * MEGABYTE
        await until_async(lambda: _live(stack) == 0, "all answers end", LONG)
        assert violations(stack, [lively]) == []


@pytest.mark.long
async def test_watching_again_gives_no_new_credit(stack: Stack) -> None:
    person = stack.person()
    async with Tab(stack, person) as reader:
        shown = await reader.ask(question("say 0+1 big=1900000"))
        await reader.settled(shown, seconds=LONG)
    async with Tab(stack, person, acks=False, returns=False) as mute:
        for _ in range(100):
            await mute.wish("watch", generation=shown.generation, after="0-0")
        await until_async(lambda: mute.closed_with, "the mute one is dropped", LONG)
        got = sum(len(frame["answer"]) for frame in mute.heard("snapshot"))
        assert got < protocol.SOCKET_CREDIT + protocol.SNAPSHOT_CHARACTERS
        assert mute.closed_with == protocol.CLOSE_SLOW


async def test_two_hundred_readers_get_every_token(stack: Stack) -> None:
    async with contextlib.AsyncExitStack() as open_tabs:
        people = [stack.person() for _ in range(10)]
        tabs = [await open_tabs.enter_async_context(Tab(stack, person)) for person in people for _ in range(20)]
        await asyncio.gather(*(tab.ask(question("say 50+150")) for tab in tabs))
        for tab in tabs:
            await tab.settled(seconds=2 * LONG)
        assert violations(stack, tabs) == []


@pytest.mark.concurrent
async def test_stop_ends_it_in_every_tab_and_at_the_engine(stack: Stack) -> None:
    person = stack.person()
    async with Tab(stack, person) as first, Tab(stack, person) as second:
        shown = await first.ask(question("say 20+5000"))
        await until_async(lambda: shown.answer, "the answer begins", LONG)
        other = await second.watch(shown.generation)
        assert stack.busy_slots() == 1
        await second.stop(other)
        await first.settled(shown, seconds=LONG)
        await second.settled(other, seconds=LONG)
        await until_async(lambda: stack.busy_slots() == 0, "the engine's slot is free", LONG)
        assert shown.settled and shown.settled["state"] == "stopped"
        assert violations(stack, [first, second]) == []


async def test_a_deactivated_person_gets_no_further_frame(stack: Stack) -> None:
    person = stack.person()
    await _is_cut_off(stack, person.pk, "User.objects.filter(pk=pk).update(is_active=False)")


async def test_a_signed_out_person_gets_no_further_frame(stack: Stack) -> None:
    person = stack.person()
    await _is_cut_off(stack, person.pk, "Session.objects.all().delete()")


async def _is_cut_off(stack: Stack, pk: int, deed: str) -> None:
    session = stack.orm(
        "u = User.objects.get(pk=pk); s = SessionStore(); s.update({'_auth_user_id': str(u.pk),"
        "'_auth_user_backend': 'django.contrib.auth.backends.ModelBackend',"
        "'_auth_user_hash': u.get_session_auth_hash()}); s.save(); result = s.session_key",
        pk=pk,
    )
    async with Tab(stack, Person(pk, "", session), returns=False) as tab:
        shown = await tab.ask(question("say 20+600"))
        await until_async(lambda: shown.answer, "the answer begins", LONG)
        stack.orm(deed, pk=pk)
        await until_async(lambda: tab.closed_with, "the socket is closed", LONG)
        assert tab.closed_with == protocol.CLOSE_RIGHTS
        assert shown.settled is None
    await until_async(lambda: _live(stack) == 0, "the answer ends all the same", LONG)
    assert violations(stack) == []


def _live(stack: Stack) -> int:
    found: int = stack.orm("result = Generation.objects.filter(state__in=Generation.LIVE).count()")
    return found
