"""What people type and strangers send: a clear error or harmless text."""

from __future__ import annotations

import uuid

import aiohttp
import pytest

from tests.faults.asking import question
from tests.invariants import violations
from tests.stack import MODEL, Stack
from tests.tab import Tab

LONG = 90
CONTROL = ("</think>", "<think>", "<｜Assistant｜>", "<|im_start|>")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "message_empty"),
        (" \n ", "message_empty"),
        ("x" * 200_001, "message_too_long"),
        ("a\x00b", "bad_text"),
        ("a\ud800b", "bad_frame"),
    ],
    ids=["empty", "blank", "too long", "NUL", "lone surrogate"],
)
async def test_text_that_nothing_can_store_is_refused(stack: Stack, text: str, code: str) -> None:
    async with Tab(stack, stack.person()) as tab:
        answer = await tab.wish("ask", key=str(uuid.uuid4()), text=text, model=MODEL)
        assert (answer["type"], answer["code"]) == ("error", code)
        await tab.settled(await tab.ask(question("say 1+3")), seconds=LONG)
        assert violations(stack, [tab]) == []


@pytest.mark.parametrize("text", ["[" * 100_000, "<script>alert(1)</script>", *CONTROL], ids=lambda text: text[:12])
async def test_odd_text_is_harmless(stack: Stack, text: str) -> None:
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(f"{question('say 3+10')} {text}")
        await tab.settled(shown, seconds=LONG)
        assert shown.settled and shown.settled["state"] == "done"
        reached = [entry["user"] for entry in stack.engine_entries() if entry["event"] == "start"]
        assert not any(token in seen for seen in reached for token in CONTROL)
        assert violations(stack, [tab]) == []


@pytest.mark.parametrize("frame", ["[" * 100_000, "{", "{}", '{"type":"ask"}', "\x00"], ids=lambda frame: frame[:8])
async def test_a_broken_frame_is_told_and_forgotten(stack: Stack, frame: str) -> None:
    async with Tab(stack, stack.person()) as tab:
        await tab.send_raw(frame)
        await tab.settled(await tab.ask(question("say 1+3")), seconds=LONG)
        assert [error["code"] for error in tab.heard("error")] == ["bad_frame"]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "", None])
async def test_a_socket_from_elsewhere_is_refused(stack: Stack, origin: str | None) -> None:
    headers = {"Cookie": f"sessionid={stack.person().session}"} | ({} if origin is None else {"Origin": origin})
    async with aiohttp.ClientSession() as http:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await http.ws_connect(f"{stack.url()}/ws/", headers=headers)
        assert refused.value.status in {400, 403}


async def test_what_is_anothers_looks_like_what_is_not(stack: Stack) -> None:
    async with Tab(stack, stack.person()) as owner, Tab(stack, stack.person()) as stranger:
        made = await owner.wish("ask", key=str(uuid.uuid4()), text=question("say 1+3"), model=MODEL)
        for found in (made, dict.fromkeys(("generation", "conversation", "answer"), str(uuid.uuid4()))):
            key = str(uuid.uuid4())
            answers = [
                await stranger.wish("watch", generation=found["generation"]),
                await stranger.wish("stop", generation=found["generation"]),
                await stranger.wish("regenerate", key=key, message=found["answer"]),
                await stranger.wish("ask", key=key, text="hi", model=MODEL, conversation=found["conversation"]),
            ]
            assert [(a["type"], a["code"], a["text"]) for a in answers] == [("error", "not_found", "not_found")] * 4
        await owner.settled(await owner.watch(made["generation"]), seconds=LONG)
        assert violations(stack, [owner]) == []
