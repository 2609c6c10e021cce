"""The box in a real browser, with what the runner itself told of this machine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Page, Route, expect

from tests.journeys.asking import ask, wait_for_words, wait_until_done

PATIENCE = 15_000  # three of the page's own looks
HOSTS = "admin/models_admin/host/"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["box/", HOSTS])
def test_axe_finds_nothing(visit: Any, scheme: str, path: str) -> None:
    visitor = visit(color_scheme=scheme)
    page: Page = visitor.sign_in()
    page.goto(page.url + path)
    page.wait_for_load_state("networkidle")
    assert visitor.errors == []
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    visitor.errors.clear()  # where a label stands beside its field, axe itself tries an inline style


def test_the_machine_and_its_model_are_seen_without_a_step(page: Page) -> None:
    page.get_by_role("link", name="The box").click()
    host = page.get_by_role("region", name="the site's machine")
    expect(host.get_by_role("img", name=re.compile("GiB in use"))).to_be_visible()
    expect(host.get_by_role("row", name="R1 Tiny (demo)")).to_contain_text("warm")
    expect(page.get_by_role("main")).to_contain_text("live, every 5 s")


def test_an_answer_elsewhere_is_seen_while_it_runs_and_after_it(visit: Any, page: Page) -> None:
    watcher = visit().sign_in()
    watcher.goto(watcher.url + "box/")
    ask(page, "Count from 1 to 20")
    wait_for_words(page)
    watcher.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # he looks at his tab again
    row = watcher.get_by_role("row", name="R1 Tiny (demo)")
    expect(row).to_contain_text("1 of ")
    expect(watcher.get_by_text("One answer is being written.")).to_be_visible()
    wait_until_done(page)
    expect(row).to_contain_text("answered just now", timeout=PATIENCE)


def test_without_a_connection_the_page_says_how_old_it_is(page: Page) -> None:
    page.goto(page.url + "box/")
    lost = page.get_by_text("no connection, as of")
    expect(lost).to_be_hidden()

    def cut(route: Route) -> None:
        route.abort()

    page.route("**/box/live/", cut)
    expect(lost).to_be_visible(timeout=PATIENCE)
    expect(page.get_by_text("live, every 5 s")).to_be_hidden()
    page.unroute("**/box/live/", cut)
    expect(lost).to_be_hidden(timeout=PATIENCE)


@pytest.mark.parametrize("path", ["box/", HOSTS])
def test_on_a_phone_it_stays_within_its_edges(visit: Any, path: str) -> None:
    page: Page = visit(viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True).sign_in()
    page.goto(page.url + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
