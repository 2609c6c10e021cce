"""From the last question that a limit allows to the grant that opens it again, in two real browsers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import Browser, Page, expect

from tests.journeys.asking import ask, wait_until_done
from tests.journeys.conftest import Visitor
from tests.stack import Stack

PHONE = {"width": 390, "height": 844}
SECOND_MODEL = """
first = Deployment.objects.get(artifact__ref='scripted')
model = CatalogueModel.objects.create(key='small', name='R1 small')
artifact = Artifact.objects.create(model=model, ref='scripted', source='ollama', digest='2')
Deployment.objects.create(engine=first.engine, artifact=artifact, context_tokens=4096, slots=2, state='warm')
QuotaLimit.objects.create(subject_kind='user', subject_id=pk, unit='requests', window='month', amount=1,
    model_key=first.artifact.model.key)
"""


@pytest.fixture(scope="module")
def walled_stack() -> Iterator[Stack]:
    made = Stack()
    try:
        made.manage("collectstatic", "--noinput", "--verbosity", "0")
        yield made.start()
    finally:
        made.end()


def open_page(browser: Browser, stack: Stack, session: str, path: str = "/", **options: Any) -> Page:
    visitor = Visitor(browser.new_context(viewport={"width": 1280, "height": 800}, **options), stack.url())
    cookie: Any = {"name": "sessionid", "value": session, "url": stack.url()}
    visitor.context.add_cookies([cookie])
    visitor.page.goto(f"{stack.url()}{path}")
    return visitor.page


def test_at_the_wall_the_draft_stays_and_more_is_asked_for_and_granted(browser: Browser, walled_stack: Stack) -> None:
    person, root = walled_stack.person(), walled_stack.person()
    walled_stack.orm("User.objects.filter(pk=pk).update(is_staff=True, is_superuser=True)", pk=root.pk)
    walled_stack.orm(SECOND_MODEL, pk=person.pk)
    page = open_page(browser, walled_stack, person.session, timezone_id="Asia/Shanghai")
    page.locator(".model-button").click()
    page.get_by_role("gridcell", name=re.compile("^scripted")).click()
    ask(page, "say 2+4")
    wait_until_done(page)
    wall = page.locator("[data-wall]")
    expect(wall).to_contain_text("This month’s questions are used up")
    expect(wall).to_contain_text(re.compile(r"Full again (at|tomorrow at|on) .+, in \d+ (min|h|days)"))

    field = page.get_by_role("textbox", name="Message")
    field.fill("say 2+6, the second")
    field.press("Enter")
    expect(page.get_by_role("button", name="Send", exact=True)).to_be_disabled()
    page.reload()
    expect(field).to_have_value("say 2+6, the second")
    assert not [found for found in Axe().run(page).response["violations"] if found["impact"] in ("serious", "critical")]

    page.get_by_role("button", name="Ask for more").click()
    page.get_by_label(re.compile("What do you need it for")).fill(
        "The thesis is due" + ", two chapters are missing" * 8
    )
    page.get_by_role("button", name="Ask an admin").click()
    expect(wall).to_contain_text("You asked for more.")
    page.get_by_role("button", name="Send to R1 small").click()
    expect(wait_until_done(page)).to_contain_text("t0106")

    page.locator(".model-button").click()
    page.get_by_role("gridcell", name=re.compile("^scripted")).click()
    expect(wall).to_be_visible()
    admin = open_page(browser, walled_stack, root.session, "/admin/accounts/quotarequest/")
    assert admin.locator(".results").evaluate("box => box.scrollWidth <= box.clientWidth"), "a column is cut off"
    admin.locator("#result_list tbody th a").first.click()
    expect(admin.locator("#content")).to_contain_text("The thesis is due")
    admin.get_by_role("button", name="Grant it").click()
    expect(wall).to_have_count(0)
    expect(page.locator("[data-answer]")).to_contain_text("Questions this month: 1 on top.")
    page.set_viewport_size(PHONE)
    ask(page, "say 2+8")
    expect(wait_until_done(page)).to_contain_text("t0108")
    for each in (page, admin):
        each.context.close()
