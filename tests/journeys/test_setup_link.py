"""The first minutes of a new site: the printed link makes its admin, who sets the box up, invites somebody and asks."""

from __future__ import annotations

from pathlib import Path

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.journeys.asking import ask, text_of, wait_until_done
from tests.journeys.conftest import PATIENCE, Visitor
from tests.journeys.running_site import running_site
from tests.processes import until

NAME, PASSWORD = "lin", "tall-blue-tree-9"


def test_the_printed_link_makes_the_admin_who_sets_up_the_box_and_asks(browser: Browser, tmp_path: Path) -> None:
    with running_site(tmp_path, has_admin=False) as site:
        until(lambda: "/setup/" in site.output.read_text(), "the link is printed", 60)
        visitor = Visitor(browser.new_context(), site.url)
        page = visitor.page
        page.goto(site.setup_link())
        page.get_by_label("User name").fill(NAME)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Create the admin and start").click()
        link = set_up(page)
        sign_up(browser, site.url, link)
        page.get_by_role("button", name="Send the first message").click()
        page.wait_for_url(f"{site.url}/")
        ask(page, "12+34=?")
        expect(page.get_by_role("region", name="Thinking")).to_be_visible(timeout=PATIENCE)
        assert "46" in text_of(wait_until_done(page))
        page.goto(site.setup_link())
        expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()
        visitor.context.close()
        assert visitor.errors == []
        tokens = [each.rstrip("/").rpartition("/")[2] for each in (link, site.setup_link())]
        logged = (site.data / "logs" / "web.log").read_text()
        assert "/join/" in logged and not [token for token in tokens if token in logged]


def set_up(page: Page) -> str:
    """Through the steps on a machine that tells of itself meanwhile; the invitation's link."""
    expect(page.get_by_role("heading", name="Set up this box")).to_be_visible()
    expect(page.get_by_text("Disk of the models")).to_be_visible(timeout=PATIENCE)  # without a reload
    page.reload()
    page.get_by_role("button", name="Skip Model").click()
    page.get_by_text("Team of 10").click()
    page.get_by_role("button", name="Set the limit").click()
    expect(page.get_by_role("radio", name="Team of 10")).to_be_checked()
    page.get_by_role("button", name="Make the link").click()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    results = Axe().run(page)
    assert results.violations_count == 0, results.generate_report()
    return page.get_by_label("Invitation link").input_value()


def sign_up(browser: Browser, url: str, link: str) -> None:
    guest = Visitor(browser.new_context(), url)
    guest.page.goto(link)
    guest.page.get_by_label("User name").fill("guest")
    guest.page.get_by_label("Password", exact=True).fill(PASSWORD)
    guest.page.get_by_label("Password again").fill(PASSWORD)
    guest.page.get_by_role("button", name="Join and start").click()
    guest.page.wait_for_url(f"{url}/")
    guest.context.close()
    assert guest.errors == []
