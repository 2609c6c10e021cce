"""Asking, watching, stopping, coming back: the page's main way."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.asking import ask, newest_answer, text_of, wait_for_words, wait_until_done
from tests.journeys.running_site import Site

LONG = "Count from 1 to 20"
CODE, TABLE, FORMULA = "Write a Python function for Fibonacci", "Table of fruits", "What is the quadratic formula?"


def test_a_question_shows_thinking_and_then_the_answer(page: Page) -> None:
    ask(page, "12+34=?")
    thought = page.get_by_role("region", name="Thinking")
    expect(thought).to_be_visible()
    answer = wait_until_done(page)
    assert "46" in text_of(answer)
    expect(thought).to_contain_text(re.compile(r"Thought for \d+ s"))
    expect(page).to_have_url(re.compile(r"/c/[0-9a-f-]{36}/$"))
    expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("12+34=?")


@pytest.mark.parametrize(
    ("question", "drawn"), [(CODE, ".code .hljs-keyword"), (TABLE, ".table td.is-number"), (FORMULA, ".katex .mfrac")]
)
def test_code_tables_and_formulas_are_drawn(page: Page, question: str, drawn: str) -> None:
    ask(page, question)
    expect(wait_until_done(page).locator(drawn).first).to_be_visible()


def test_a_reload_in_the_middle_ends_with_the_same_text(page: Page) -> None:
    ask(page, LONG)
    wait_for_words(page)
    page.reload()
    shown = text_of(wait_until_done(page))
    page.reload()
    assert text_of(wait_until_done(page)) == shown
    assert "19, 20" in shown


def test_a_second_tab_shows_the_same_answer_and_is_stopped_too(page: Page) -> None:
    ask(page, LONG)
    wait_until_done(page)
    other = page.context.new_page()
    other.goto(page.url)
    wait_until_done(other)
    ask(page, LONG)
    wait_for_words(page)
    page.get_by_role("button", name="Stop", exact=True).click()
    for tab in (page, other):
        expect(tab.locator("article.message--answer")).to_have_count(2)
        expect(newest_answer(tab)).to_have_attribute("data-state", "stopped")
        expect(tab.get_by_text("Stopped. The text above is saved.")).to_be_visible()
    assert text_of(newest_answer(page)) == text_of(newest_answer(other))


def test_regenerate_makes_a_second_version_and_both_can_be_read(page: Page) -> None:
    ask(page, "12+34=?")
    wait_until_done(page)
    page.get_by_role("button", name="Regenerate").click()
    expect(newest_answer(page)).to_have_attribute("aria-busy", "true")
    wait_until_done(page)
    expect(page.get_by_text("2 / 2")).to_be_visible()
    page.get_by_role("button", name="Earlier version").click()
    expect(page.get_by_text("1 / 2")).to_be_visible()


def test_the_next_question_waits_until_the_answer_has_ended(page: Page) -> None:
    ask(page, LONG)
    wait_for_words(page)
    ask(page, "12+34=?")
    expect(page.locator("article.message--user")).to_have_count(2, timeout=60_000)
    assert "46" in text_of(wait_until_done(page))
    assert "19, 20" in text_of(page.locator("article.message--answer").first)


def test_a_queued_question_survives_a_reload_and_spares_what_is_being_written(page: Page) -> None:
    ask(page, LONG)
    wait_for_words(page)
    ask(page, "12+34=?")
    page.reload()
    expect(page.locator("#queued")).to_contain_text("12+34=?")
    box = page.get_by_role("textbox", name="Message")
    box.fill("half a thou")
    expect(page.locator("article.message--answer")).to_have_count(2, timeout=60_000)
    assert "46" in text_of(wait_until_done(page))
    expect(box).to_have_value("half a thou")
    expect(page.locator("#queued")).to_be_hidden()


def test_a_queued_question_that_two_tabs_know_is_asked_once(page: Page) -> None:
    ask(page, LONG)
    wait_for_words(page)
    ask(page, "12+34=?")
    other = page.context.new_page()
    other.goto(page.url)
    expect(other.locator("#queued")).to_contain_text("12+34=?")
    for tab in (page, other):
        expect(tab.locator("article.message--answer")).to_have_count(2, timeout=60_000)
        wait_until_done(tab)
    page.reload()
    expect(page.locator("article.message--user")).to_have_count(2)
    for tab in (page, other):
        expect(tab.get_by_role("textbox", name="Message")).to_have_value("")


def test_html_typed_by_a_person_stays_text(page: Page) -> None:
    ask(page, "<img src=x onerror=alert(1)><script>alert(2)</script></think>")
    expect(page.locator("article.message--user").last).to_contain_text("<script>alert(2)</script></think>")
    newest_answer(page).wait_for()
    assert page.locator("#thread img, #thread script").count() == 0


def test_all_works_from_another_machine_over_plain_http_copy_included(visit: Any, site: Site) -> None:
    if not site.lan_url:
        pytest.skip("no network address")
    page: Page = visit(url=site.lan_url).sign_in()
    assert page.evaluate("isSecureContext") is False
    ask(page, "12+34=?")
    answer = wait_until_done(page)
    answer.get_by_role("button", name="Copy", exact=True).click()
    expect(answer.get_by_role("button", name="Copied")).to_be_visible()
    box = page.get_by_role("textbox", name="Message")
    box.focus()
    page.keyboard.press("Control+V")
    assert "46" in box.input_value()
