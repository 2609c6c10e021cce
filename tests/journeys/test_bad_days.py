"""What a person sees when something breaks: a browser in front of processes that are killed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.faults.asking import question
from tests.invariants import violations
from tests.journeys.asking import ask, newest_answer, text_of, wait_for_words, wait_until_done
from tests.journeys.conftest import Visitor
from tests.processes import until
from tests.stack import Stack

LONG = 90_000
STORED = "result = Message.objects.filter(generations__pk=pk).values_list('text', flat=True).get()"

# What the window's edge, or the box around a line that does not break, cuts off without saying so.
STICKING_OUT = """
[...document.querySelectorAll("body *")].filter((e) => {
  if (!e.checkVisibility() || e.closest("svg, .katex")) return false;
  const box = e.getBoundingClientRect(), within = e.parentElement.getBoundingClientRect();
  const clips = getComputedStyle(e).textOverflow === "ellipsis";
  return box.width > 1 && (box.right > innerWidth + 1 || box.right > within.right + 1 && within.width > 1
    || e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 1 && !clips);
}).map((e) => `${e.tagName} ${e.className}`)
"""


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    """Slow enough to be met in the middle of an answer, with the files that a browser asks for."""
    made = Stack(pace=20)
    try:
        made.start().manage("collectstatic", "--noinput", "--verbosity", "0")
        made.web.end()
        made.web.start()
        made.until_ready()
        yield made
    finally:
        made.end()


@pytest.fixture
def visit_stack(stack: Stack, browser: Browser) -> Iterator[Any]:
    """Somebody new, signed in, at an empty page; options are those of a Playwright context."""
    visitors: list[Visitor] = []

    def open_one(**options: Any) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        visitor = Visitor(browser.new_context(**options), stack.url())
        visitors.append(visitor)
        visitor.context.add_cookies([{"name": "sessionid", "value": stack.person().session, "url": stack.url()}])
        visitor.page.goto(stack.url())
        return visitor.page

    yield open_one
    for visitor in visitors:
        visitor.context.close()
    assert [error for visitor in visitors for error in visitor.errors] == []


def test_a_killed_web_server_is_told_quietly_and_costs_no_word(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 20+200"))
    wait_for_words(page)
    stack.web.kill9()
    expect(page.get_by_text("Connection lost. Trying again…", exact=True)).to_be_visible()
    assert page.get_by_role("alert").filter(visible=True).count() == 0
    stack.web.start()
    answer = wait_until_done(page)
    expect(page.get_by_text("Connection lost.")).to_be_hidden()
    assert text_of(answer) == stack.orm(STORED, pk=answer.get_attribute("data-generation"))
    assert text_of(answer).endswith("t0300")
    assert violations(stack) == []


def test_stop_pressed_while_cut_off_stops_when_the_connection_is_back(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 20+5000"))
    wait_for_words(page)
    stack.web.kill9()
    expect(page.get_by_text("Connection lost.")).to_be_visible()
    page.get_by_role("button", name="Stop", exact=True).click()
    stack.web.start()
    expect(newest_answer(page)).to_have_attribute("data-state", "stopped", timeout=LONG)
    until(lambda: stack.busy_slots() == 0, "the engine's slot is free")
    assert violations(stack) == []


def test_stop_pressed_before_the_site_has_the_question_stops_it_all_the_same(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    stack.web.kill9()
    ask(page, question("say 20+5000"))
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Stopping")).to_be_disabled()
    stack.web.start()
    expect(newest_answer(page)).to_have_attribute("data-state", "stopped", timeout=LONG)
    assert violations(stack) == []


def test_an_answer_goes_on_after_its_engine_and_says_where(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 10+60 die_after=30"))
    answer = wait_until_done(page)
    seam = answer.get_by_role("note").filter(
        has_text="Carried on by the site's machine after 30 tokens: llama.cpp broke off"
    )
    expect(seam).to_be_visible()
    assert text_of(answer).endswith("t0160")
    page.reload()
    expect(seam).to_be_visible()
    assert violations(stack) == []


def test_an_answer_that_breaks_off_for_good_is_gone_on_with(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 10+100 dies_every=20"))
    broken = page.get_by_role("alert").filter(has_text="The engine stopped in the middle of the answer")
    expect(broken).to_contain_text("The text above is saved", timeout=LONG)
    assert text_of(newest_answer(page)).endswith("t0150")
    page.reload()
    broken.get_by_role("button", name="Continue").click()
    answer = wait_until_done(page)
    assert text_of(answer).endswith("t0200")
    expect(answer.get_by_role("note")).to_have_count(5)
    assert violations(stack) == []


def test_the_answer_is_wanted_now(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 900+20"))
    page.get_by_role("button", name="Answer now").click(timeout=LONG)
    answer = wait_until_done(page)
    assert text_of(answer).endswith("t0920")
    note = answer.get_by_role("note").filter(has_text="You asked for the answer: the thought ends here")
    expect(note).to_be_visible()
    page.reload()
    expect(note).to_be_visible()


def test_an_answer_cut_at_a_limit_says_so(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    ask(page, question("say 1+3"))
    answer = wait_until_done(page)
    said = page.get_by_text("The answer was cut off")
    expect(said).to_have_count(0)
    cut = "Message.objects.filter(generations__pk=pk).update(finish='length')"
    stack.orm(cut, pk=answer.get_attribute("data-generation"))
    page.reload()
    expect(said).to_be_visible()


def test_who_waits_reads_how_many_are_ahead_and_why(stack: Stack, visit_stack: Any) -> None:
    stack.set_slots(1)
    first: Page = visit_stack()
    ask(first, question("say 20+5000"))
    wait_for_words(first)
    second, third = visit_stack(), visit_stack(locale="zh-CN")
    ask(second, question("say 20+5000"))
    expect(second.get_by_role("heading", name="Next in line")).to_be_visible()
    expect(second.get_by_text("Yours starts as soon as one is free.")).to_be_visible()
    expect(second.locator("[data-glance]")).to_contain_text("1 waiting")
    third.get_by_role("textbox", name="消息").fill(question("say 1+3"))
    third.keyboard.press("Enter")
    expect(third.get_by_role("heading", name="前面还有 1 个问题")).to_be_visible()
    expect(third.get_by_text("这个模型的位置都占满了，排在你前面的先开始。")).to_be_visible()
    first.get_by_role("button", name="Stop", exact=True).click()
    wait_for_words(second)
    expect(newest_answer(second).locator("[data-word]")).to_have_text(re.compile(r"^Thought( for \d{1,3} s)?$"))
    second.get_by_role("button", name="Stop", exact=True).click()
    wait_until_done(third)
    expect(third.locator("[data-glance]")).not_to_contain_text("排队")


def test_a_used_up_limit_says_so_and_keeps_the_text(stack: Stack, visit_stack: Any) -> None:
    page: Page = visit_stack()
    stack.orm("QuotaLimit.objects.create(subject_kind='everyone', unit='requests', window='hour', amount=0)")
    try:
        ask(page, "12+34=?")
        expect(page.locator(".wall")).to_contain_text("This hour’s questions are used up")
        expect(page.get_by_role("textbox", name="Message")).to_have_value("12+34=?")
    finally:
        stack.orm("QuotaLimit.objects.all().delete()")


def test_long_names_and_words_stay_inside_a_phone(stack: Stack, visit_stack: Any) -> None:
    names = "CatalogueModel.objects.update(name=name); User.objects.update(first_name=name)"
    stack.orm(names, name="DeepSeek-R1-Distill-Qwen-32B-abliterated-Q4_K_M-imatrix.gguf")
    try:
        page: Page = visit_stack(viewport={"width": 360, "height": 740}, is_mobile=True, reduced_motion="reduce")
        stack.orm(names, name="DeepSeek-R1-Distill-Qwen-32B-abliterated-Q4_K_M-imatrix.gguf")
        page.reload()
        ask(page, question(f"{'Donaudampfschifffahrt' * 9} {'没有空格' * 40} say 1+3 echo"))
        wait_until_done(page)
        page.get_by_role("button", name="Show conversations").click()
        assert page.evaluate(STICKING_OUT) == []
    finally:
        stack.orm("CatalogueModel.objects.update(name=name)", name="scripted")
