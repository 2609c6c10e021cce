"""The page of models in a real browser."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, expect

CATALOGUE = "admin/models_admin/cataloguemodel/"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(
    "path", ["models/", CATALOGUE, f"{CATALOGUE}add/", f"{CATALOGUE}1/plan/", "admin/models_admin/deployment/1/change/"]
)
def test_axe_finds_nothing(visit: Any, scheme: str, path: str) -> None:
    visitor = visit(color_scheme=scheme)
    page: Page = visitor.sign_in()
    page.goto(page.url + path)
    page.wait_for_load_state("networkidle")
    assert visitor.errors == []
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    visitor.errors.clear()  # where a label stands beside its field, axe itself tries an inline style


def test_from_the_picker_to_a_chat_with_a_model(page: Page) -> None:
    page.get_by_role("button", name="Model: ").click()
    page.get_by_role("link", name="Which model should I take?").click()
    card = page.get_by_role("article", name="R1 Tiny (demo)")
    expect(card).to_contain_text("ready")
    card.get_by_role("link", name="Chat with R1 Tiny (demo)").click()
    expect(page.get_by_role("button", name="Model: R1 Tiny (demo)")).to_be_visible()


def test_the_training_opens_by_keyboard(page: Page) -> None:
    page.goto(page.url + "models/")
    card = page.get_by_role("article", name="R1 32B")
    expect(card.get_by_text("Its start was")).to_be_hidden()
    card.locator("summary").press("Enter")
    expect(card.get_by_text("Its start was")).to_be_visible()


def test_on_a_phone_it_stays_within_its_edges_and_opens_the_list(visit: Any) -> None:
    page: Page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).sign_in()
    page.goto(page.url + "models/")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Show conversations").click()
    page.get_by_role("link", name="New chat").first.click()
    expect(page).to_have_url(re.compile(r"/$"))
