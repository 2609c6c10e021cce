"""What an admin does with models on hosts, on the admin's pages. With R1WEB_PICTURES=FOLDER steps leave pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Locator, Page, expect

LOAD_SECONDS = 60_000
PICTURES = os.environ.get("R1WEB_PICTURES", "")


def picture(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


def open_admin(page: Page, path: str) -> None:
    """A page of the machines' part, by its path there."""
    here = urlsplit(page.url)
    page.goto(f"{here.scheme}://{here.netloc}/admin/models_admin/{path}")


def open_model(page: Page, name: str, tab: str = "") -> None:
    open_admin(page, f"cataloguemodel/?q={name}")
    page.locator("#result_list tbody th a").first.click()
    if tab:
        page.get_by_role("link", name=tab, exact=True).first.click()


def now(page: Page) -> Locator:
    """The part of a model's page that moves by itself."""
    return page.locator("[data-live=now]")


def plan(page: Page, name: str, host: str) -> None:
    """Fill in the Plan page for one host; nothing is ordered."""
    open_model(page, name, "Plan")
    page.get_by_label("Context, tokens").fill("1024")
    page.get_by_label("Answers at once").fill("2")
    page.get_by_role("button", name="Plan again").click()
    for box in page.locator("input[name=host]:enabled").all():
        box.set_checked(False)
    page.get_by_label(host).check()


def pull_and_warm(page: Page, name: str, host: str) -> None:
    plan(page, name, host)
    page.get_by_role("button", name=re.compile("^Pull to .* and warm$")).click()


def until_warm(page: Page, name: str) -> None:
    open_model(page, name)
    expect(now(page)).to_contain_text(re.compile("warm on", re.I), timeout=LOAD_SECONDS)


def pin(page: Page, name: str, why: str) -> None:
    open_model(page, name)
    page.get_by_role("link", name="Pin", exact=True).first.click()
    page.get_by_label("Why").fill(why)
    page.get_by_role("button", name="Pin", exact=True).click()
