"""What a person does on the chat page, in a person's words."""

from __future__ import annotations

from playwright.sync_api import Locator, Page, expect


def ask(page: Page, text: str) -> None:
    box = page.get_by_role("textbox", name="Message")
    box.fill(text)
    box.press("Enter")


def newest_answer(page: Page) -> Locator:
    return page.locator("article.message--answer").last


def text_of(answer: Locator) -> str:
    """The answer without thought and buttons."""
    return answer.locator("[data-part=answer]").inner_text().strip()


def wait_until_done(page: Page) -> Locator:
    answer = newest_answer(page)
    expect(answer).to_have_attribute("data-state", "done", timeout=60_000)
    return answer


def wait_for_words(page: Page) -> Locator:
    """Some of the answer to the newest question is on the page, and more is coming."""
    answer = newest_answer(page)
    expect(answer.locator("[data-part=answer]")).not_to_be_empty(timeout=60_000)
    return answer


def open_account(page: Page) -> None:
    """The account menu, once the page's scripts are at work."""
    page.locator("body[data-ready]").wait_for()
    page.locator(".account").click()
