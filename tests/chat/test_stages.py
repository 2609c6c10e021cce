"""Who asks a cold model sees what is done for it, and whoever wished for it is told when it is ready."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest

from tests.processes import until, until_async
from tests.scripted_ollama import ScriptedOllama, serving
from tests.stack import Person, Stack
from tests.tab import Tab

GIB = 1 << 30
ONE, TWO = "one:latest", "two:latest"


@pytest.fixture(scope="module")
def box(shared_stack: Stack) -> Iterator[ScriptedOllama]:
    """Two models of which one fits, none of them in memory."""
    with serving(one=GIB, two=GIB) as ollama:
        for name in ollama.models:
            shared_stack.manage("attach_engine", ollama.address, "--kind", "ollama", "--model", name, "--slots", "1",
                                "--context", "4096")  # fmt: skip
        shared_stack.orm(
            "Deployment.objects.filter(engine__base_url=url).update(measured_bytes=size, load_ms=9000)\n"
            "Host.objects.update(memory_limit_bytes=size + size // 2)",
            url=ollama.address, size=GIB,
        )  # fmt: skip
        until(lambda: shared_stack.orm("result = bool(Host.objects.get().inventory)"), "the agent has looked", 30)
        yield ollama


@pytest.fixture
async def tab(stack: Stack) -> AsyncIterator[Tab]:
    async with Tab(stack, stack.person()) as made:
        yield made


async def ask(tab: Tab, model: str) -> str:
    """The generation, watched."""
    made = await tab.wish("ask", key=str(uuid.uuid4()), text="Count", model=model)
    await tab.watch(made["generation"])
    return str(made["generation"])


def until_cold(stack: Stack, model: str) -> None:
    """The site has seen that its engine does not hold it."""
    query = "result = Deployment.objects.get(artifact__ref=ref).state"
    until(lambda: stack.orm(query, ref=model) == "stopped", f"{model} is cold")


def reasons(tab: Tab) -> list[dict[str, Any]]:
    return [frame["reason"] for frame in tab.heard("waiting")]


def told(tab: Tab, code: str) -> dict[str, Any] | None:
    return next((reason["args"] for reason in reasons(tab) if reason["code"] == code), None)


async def post(stack: Stack, person: Person, path: str, **fields: str) -> int:
    """A form of the page, sent by its browser."""
    form_key = "k" * 32
    headers = {"X-CSRFToken": form_key, "Cookie": f"sessionid={person.session}; csrftoken={form_key}"}
    async with aiohttp.ClientSession() as http, http.post(f"{stack.url()}{path}", data=fields, headers=headers) as got:
        return got.status


async def test_a_load_is_told_while_it_lasts_and_its_end_to_who_wished_for_it(
    stack: Stack, box: ScriptedOllama, tab: Tab
) -> None:
    until_cold(stack, ONE)
    box.may_load.clear()
    generation = await ask(tab, ONE)
    await until_async(lambda: told(tab, "loading"), "the load is told")
    args = told(tab, "loading") or {}
    assert (args["key"], args["model"], args["host"]) == (ONE, ONE, "local") and 1 <= args["seconds"] <= 9
    stack.orm("Deployment.objects.filter(artifact__ref=ref).update(progress=62)", ref=ONE)
    await until_async(lambda: reasons(tab)[-1]["args"].get("percent") == 62, "the percent is told")

    assert await post(stack, tab.person, "/ready/wish/", model=ONE) == 204
    await tab.send("unwatch", id="", generation=generation)
    async with Tab(stack, tab.person) as late:  # a page that is opened now sees the same at once
        await late.watch(generation)
        await until_async(lambda: reasons(late), "its place is told")
        assert reasons(late)[0]["code"] == "loading"
    await tab.watch(generation)
    before = len(tab.heard("user"))
    box.may_load.set()
    await until_async(lambda: ["ready"] in [frame["what"] for frame in tab.heard("user")[before:]], "it is ready")
    await tab.settled()
    assert tab.shown[generation].settled and "t0012" in tab.shown[generation].answer


async def test_the_model_that_has_to_go_is_named(stack: Stack, box: ScriptedOllama, tab: Tab) -> None:
    await ask(tab, TWO)
    await tab.settled()
    stack.orm(
        "from django.utils import timezone\nfrom datetime import timedelta\n"
        "row = Deployment.objects.get(artifact__ref=ref)\n"
        "Pin.objects.create(deployment=row, owner='li', reason='demo', ends_at=timezone.now() + timedelta(hours=1))",
        ref=TWO,
    )  # fmt: skip
    await ask(tab, ONE)
    await until_async(lambda: told(tab, "no_room_pinned"), "the pin is told")
    assert (told(tab, "no_room_pinned") or {})["until"] > 0
    stack.orm("Pin.objects.all().delete()")
    await tab.settled()
    assert ONE in box.loaded and TWO not in box.loaded
