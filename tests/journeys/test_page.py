"""The page around the answers: the door, the list, the field, languages and looks."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

from tests.journeys.asking import ask, open_account, wait_until_done


def test_a_wrong_password_is_told_in_one_sentence(visit: Any) -> None:
    visitor = visit()
    visitor.page.goto(f"{visitor.url}/signin/")
    visitor.page.locator("[name=username]").fill("nobody")
    visitor.page.locator("[name=password]").fill("wrong")
    visitor.page.get_by_role("button", name="Sign in").click()
    expect(visitor.page.get_by_role("alert")).to_contain_text("do not match")


def test_signing_out_closes_the_page(page: Page) -> None:
    open_account(page)
    page.get_by_role("menuitem", name="Sign out").click()
    expect(page).to_have_url(re.compile("/signin/"))


def test_a_conversation_is_renamed_deleted_and_brought_back(page: Page) -> None:
    ask(page, "12+34=?")
    wait_until_done(page)
    page.keyboard.press("F2")
    page.get_by_role("textbox", name="Rename").fill("My sum")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="My sum")).to_be_visible()
    address = page.url
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("Delete")).click()
    expect(page.get_by_text("“My sum” is deleted.")).to_be_visible()
    page.get_by_role("button", name="Undo").click()
    expect(page).to_have_url(address)
    expect(page.get_by_role("navigation", name="Conversations")).to_contain_text("My sum")


def test_undo_is_at_hand_for_who_deletes_by_keyboard(page: Page) -> None:
    ask(page, "12+34=?")
    wait_until_done(page)
    page.get_by_role("button", name="More", exact=True).press("Enter")
    page.get_by_role("menuitem", name=re.compile("Delete")).press("Enter")
    expect(page.get_by_role("button", name="Undo")).to_be_focused()


def test_a_draft_survives_a_reload(page: Page) -> None:
    box = page.get_by_role("textbox", name="Message")
    box.fill("half a thou")
    box.press("Shift+Enter")
    page.reload()
    expect(box).to_have_value("half a thou\n")
    box.fill("")
    page.reload()
    expect(box).to_have_value("")


def test_send_wakes_with_the_first_word(page: Page) -> None:
    send = page.get_by_role("button", name="Send", exact=True)
    expect(send).to_be_disabled()
    page.get_by_role("textbox", name="Message").fill("12+34=?")
    expect(send).to_be_enabled()


def test_the_address_chooses_the_model(page: Page) -> None:
    page.goto(page.url + "?model=r1-tiny")
    expect(page.get_by_role("button", name="Model: R1 Tiny (demo)")).to_be_visible()


def test_the_page_speaks_chinese(page: Page) -> None:
    open_account(page)
    page.get_by_role("menuitemradio", name="简体中文").click()
    expect(page.get_by_role("heading", name="想让 R1 推敲什么？")).to_be_visible()
    expect(page.get_by_role("textbox", name="消息")).to_be_visible()
    open_account(page)
    page.get_by_role("menuitemradio", name="English").click()
    expect(page.get_by_role("heading", name="What should R1 work out?")).to_be_visible()


def test_the_look_is_remembered(page: Page) -> None:
    for look in ("Dark", "System"):
        open_account(page)
        page.get_by_role("menuitemradio", name=look).click()
        page.wait_for_load_state()
        open_account(page)
        expect(page.get_by_role("menuitemradio", name=look)).to_have_attribute("aria-checked", "true")
        page.keyboard.press("Escape")


def test_a_phone_has_the_list_in_a_drawer_and_nothing_sticks_out(visit: Any) -> None:
    page: Page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).sign_in()
    ask(page, "Write a Python function for Fibonacci")
    wait_until_done(page)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Show conversations").click()
    expect(page.get_by_role("navigation", name="Conversations")).to_be_visible()


def test_a_phone_shows_the_models_within_its_edges(visit: Any) -> None:
    page: Page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).sign_in()
    for _ in range(2):
        page.get_by_role("button", name="Model: ").click()
        box = page.get_by_role("grid", name="Model").bounding_box()
        assert box is not None and box["y"] >= 0 and box["y"] + box["height"] <= 844, box
        page.keyboard.press("Escape")
        ask(page, "Write a Python function for Fibonacci")
        wait_until_done(page)


def test_a_phone_can_rename_at_once(visit: Any) -> None:
    page: Page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).sign_in()
    ask(page, "12+34=?")
    wait_until_done(page)
    page.get_by_role("button", name="More", exact=True).click()
    page.get_by_role("menuitem", name=re.compile("Rename")).click()
    expect(page.get_by_role("textbox", name="Rename")).to_be_focused()


@pytest.mark.parametrize(("width", "height"), [(1280, 656), (390, 844)])
def test_the_empty_page_is_read_from_its_head(visit: Any, width: int, height: int) -> None:
    page: Page = visit(viewport={"width": width, "height": height}).sign_in()
    page.locator("body[data-ready]").wait_for()
    page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    assert page.evaluate("scrollY") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(visit: Any, scheme: str) -> None:
    page: Page = visit(color_scheme=scheme).sign_in()
    for _ in range(2):
        results = Axe().run(page)
        assert results.violations_count == 0, results.generate_report()
        if "/c/" in page.url:
            break
        ask(page, "Write a Python function for Fibonacci")
        wait_until_done(page)


def test_an_unknown_conversation_is_not_found(page: Page) -> None:
    answer = page.goto(page.url + "c/00000000-0000-7000-8000-000000000000/")
    assert answer is not None and answer.status == 404
    expect(page.get_by_role("heading", name="Nothing is here")).to_be_visible()
