"""A real browser in front of the whole site. Every page is watched: an error in its console fails the test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, sync_playwright

from tests.journeys.running_site import Site, running_site

ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"]
# The browser's own words about a lost connection are no fault of the page.
EXPECTED = ("WebSocket connection to", "net::ERR_", "Failed to load resource")
SECONDS = 1000
PATIENCE = 40 * SECONDS
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


class Visitor:
    """A signed-in person at a browser of his own."""

    def __init__(self, context: BrowserContext, url: str, password: str = "") -> None:
        self.context = context
        self.url = url
        self.password = password
        self.errors: list[str] = []
        context.on("page", self._watch)
        self.page = context.new_page()

    def _watch(self, page: Page) -> None:
        page.set_default_timeout(PATIENCE)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def _note(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            self.errors.append(message.text)

    def sign_in(self) -> Page:
        self.page.goto(f"{self.url}/signin/")
        self.page.locator("[name=username]").fill("admin")
        self.page.locator("[name=password]").fill(self.password)
        self.page.locator("main button[type=submit].button--primary").click()
        self.page.wait_for_url(f"{self.url}/")
        return self.page


def open_browser(playwright: Playwright) -> Browser:
    """The system's Chromium; a pytest skip where there is none."""
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    if program is None:
        pytest.skip("no Chromium on this machine")
    return playwright.chromium.launch(executable_path=program, args=ARGUMENTS)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Any]:
    """Opens a browser of its own: `visit(url=…, **options of a Playwright context) -> Visitor`."""
    visitors: list[Visitor] = []

    def open_one(url: str | None = None, **options: Any) -> Visitor:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        visitors.append(Visitor(browser.new_context(**options), url or site.url, site.admin_password))
        return visitors[-1]

    yield open_one
    errors = [error for visitor in visitors for error in visitor.errors]
    for visitor in visitors:
        visitor.context.close()
    assert errors == []


@pytest.fixture
def page(visit: Any) -> Page:
    """A signed-in page, empty and ready."""
    page: Page = visit().sign_in()
    return page
