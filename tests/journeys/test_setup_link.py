"""The first minute of a new site: the printed link makes its admin, who asks at once."""

from __future__ import annotations

from pathlib import Path

from playwright.sync_api import Browser, expect

from tests.journeys.asking import ask, text_of, wait_until_done
from tests.journeys.conftest import PATIENCE, Visitor
from tests.journeys.running_site import running_site
from tests.processes import until

NAME, PASSWORD = "lin", "tall-blue-tree-9"


def test_the_printed_link_makes_the_admin_who_asks_at_once(browser: Browser, tmp_path: Path) -> None:
    with running_site(tmp_path, has_admin=False) as site:
        until(lambda: "/setup/" in site.output.read_text(), "the link is printed", 60)
        visitor = Visitor(browser.new_context(), site.url)
        page = visitor.page
        page.goto(site.setup_link())
        page.get_by_label("User name").fill(NAME)
        page.get_by_label("Password", exact=True).fill(PASSWORD)
        page.get_by_label("Password again").fill(PASSWORD)
        page.get_by_role("button", name="Create the admin and start").click()
        page.wait_for_url(f"{site.url}/")
        ask(page, "12+34=?")
        expect(page.get_by_role("region", name="Thinking")).to_be_visible(timeout=PATIENCE)
        assert "46" in text_of(wait_until_done(page))
        page.goto(site.setup_link())
        expect(page.get_by_role("heading", name="This link no longer works")).to_be_visible()
        visitor.context.close()
        assert visitor.errors == []
