"""A model that is not in memory, from the picker to its answer, in a real browser before a scripted Ollama."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.journeys.asking import ask, wait_until_done
from tests.journeys.conftest import Visitor
from tests.processes import until
from tests.scripted_ollama import ScriptedOllama, serving
from tests.stack import Stack

GIB = 1 << 30
LONG = 60_000


@pytest.fixture(scope="module")
def cold_stack() -> Iterator[Stack]:
    made = Stack()
    try:
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def box(cold_stack: Stack) -> Iterator[ScriptedOllama]:
    """One warm model and one cold, of which one fits."""
    with serving(one=GIB, two=GIB) as ollama:
        ollama.loaded["two:latest"] = 4096
        for name in ollama.models:
            cold_stack.manage("attach_engine", ollama.address, "--kind", "ollama", "--model", name, "--slots", "1",
                              "--context", "4096")  # fmt: skip
        cold_stack.orm(
            "Deployment.objects.filter(engine__base_url=url).update(measured_bytes=size, load_ms=9000)\n"
            "Host.objects.update(memory_limit_bytes=size + size // 2)",
            url=ollama.address, size=GIB,
        )  # fmt: skip
        until(lambda: cold_stack.orm("result = bool(Host.objects.get().inventory)"), "the agent has looked", 30)
        states = "result = sorted(Deployment.objects.filter(engine__base_url=url).values_list('state', flat=True))"
        until(lambda: cold_stack.orm(states, url=ollama.address) == ["stopped", "warm"], "one is warm, one is cold", 30)
        yield ollama


@pytest.fixture
def page(cold_stack: Stack, browser: Browser) -> Iterator[Page]:
    visitor = Visitor(browser.new_context(viewport={"width": 1280, "height": 800}), cold_stack.url())
    cookie: Any = {"name": "sessionid", "value": cold_stack.person().session, "url": cold_stack.url()}
    visitor.context.add_cookies([cookie])
    visitor.page.goto(cold_stack.url())
    visitor.page.locator("body[data-ready]").wait_for()
    yield visitor.page
    visitor.context.close()
    assert visitor.errors == []


@pytest.mark.long
def test_a_cold_model_is_chosen_waited_for_and_told_when_it_is_ready(box: ScriptedOllama, page: Page) -> None:
    page.get_by_role("button", name="Model: ").click()
    models = page.get_by_role("grid", name="Model")
    row = models.get_by_role("row", name=re.compile("one:latest"))
    expect(row).to_contain_text("Cold. Unloads two:latest, used by nobody today.")
    assert Axe().run(page).violations_count == 0
    page.keyboard.type("one")
    page.keyboard.press("ArrowRight")
    bell = models.get_by_role("button", name="Tell me when one:latest is ready")
    expect(bell).to_be_focused()
    page.keyboard.press("Enter")
    expect(bell).to_have_attribute("aria-pressed", "true")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Enter")
    expect(models).to_be_hidden()
    expect(page.get_by_role("button", name="Model: one:latest")).to_be_focused()
    expect(page.locator("#outlook")).to_contain_text("Unloads two:latest, used by nobody today. Ready in about 9 s")

    box.may_load.clear()
    ask(page, "Count")
    card = page.locator(".waiting")
    expect(card).to_contain_text("one:latest is loading on the site's machine.", timeout=LONG)
    expect(card).to_contain_text("by its last load")
    expect(card.get_by_role("button", name="Tell me when one:latest is ready")).to_have_attribute(
        "aria-pressed", "true"
    )
    assert Axe().run(page).violations_count == 0
    box.may_load.set()
    wait_until_done(page)
    line = page.locator("[data-ready-lines]").filter(has_text="one:latest is ready on the site's machine.")
    expect(line).to_be_visible(timeout=LONG)
    page.get_by_role("link", name="New chat").first.click()
    page.get_by_role("link", name="Ask one:latest now").click()
    expect(page.get_by_role("button", name="Model: one:latest")).to_be_visible()
    expect(page.get_by_role("textbox", name="Message")).to_be_focused()
    page.reload()
    expect(page.locator("[data-ready-lines]")).to_be_empty()
