"""Takes the pictures of docs/screenshots/ from a running site.

python -m tests.journeys.screenshots http://localhost:8000 PASSWORD_FILE [--user admin] [--out docs/screenshots]
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.journeys.asking import ask, newest_answer, wait_for_words, wait_until_done

CODE, TABLE, FORMULA = "Write a Python function for Fibonacci", "Table of fruits", "What is the quadratic formula?"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}


class Camera:
    def __init__(self, browser: Browser, url: str, user: str, password: str, out: Path) -> None:
        self.browser, self.url, self.user, self.password, self.out = browser, url, user, password, out

    def visit(self, **options: Any) -> Page:
        page = self.browser.new_context(**{"viewport": DESK, **options}).new_page()
        page.goto(f"{self.url}/signin/")
        page.locator("[name=username]").fill(self.user)
        page.locator("[name=password]").fill(self.password)
        page.locator("main button[type=submit].button--primary").click()
        page.wait_for_url(f"{self.url}/")
        return page

    def take(self, page: Page, name: str) -> None:
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        page.screenshot(path=self.out / f"{name}.png")


def desk(camera: Camera) -> None:
    page = camera.visit(color_scheme="light")
    camera.take(page, "empty")
    ask(page, CODE)
    expect(page.get_by_role("region", name="Thinking").locator("[data-text]")).not_to_be_empty()
    camera.take(page, "thinking")
    wait_for_words(page)
    expect(newest_answer(page).locator(".code")).to_be_visible()
    camera.take(page, "writing")
    wait_until_done(page)
    for question in (TABLE, FORMULA):
        ask(page, question)
        wait_until_done(page)
    drawn(page)
    camera.take(page, "finished")
    failed(page)
    camera.take(page, "failed")


def drawn(page: Page) -> None:
    """Formulas and colours come a moment after the text."""
    for late in (".katex", ".hljs-keyword"):
        expect(page.locator(late).first).to_be_visible()
    page.evaluate("scrollTo(0, 0)")


def failed(page: Page) -> None:
    """More text than the demo model can read."""
    page.goto(page.url.split("/c/")[0] + "/")
    ask(page, "Count these words: " + "word " * 4000)
    expect(newest_answer(page)).to_have_attribute("data-state", "failed", timeout=60_000)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")


def three_answers(page: Page, box: str, questions: tuple[str, ...]) -> None:
    for question in questions:
        field = page.get_by_role("textbox", name=box)
        field.fill(question)
        field.press("Enter")
        wait_until_done(page)
    drawn(page)


def phone(camera: Camera) -> None:
    page = camera.visit(viewport=PHONE, is_mobile=True, has_touch=True, color_scheme="light")
    three_answers(page, "Message", (CODE, TABLE, FORMULA))
    camera.take(page, "phone")


def dark(camera: Camera) -> None:
    page = camera.visit(color_scheme="dark")
    three_answers(page, "Message", (CODE, TABLE, FORMULA))
    camera.take(page, "dark")


def chinese(camera: Camera) -> None:
    page = camera.visit(locale="zh-CN", color_scheme="light")
    camera.take(page, "chinese-empty")
    three_answers(page, "消息", ("用Python写斐波那契", "做一个水果表格", "写出求根公式"))
    camera.take(page, "chinese")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("password_file", type=Path)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        password = options.password_file.read_text().strip()
        camera = Camera(browser, options.url.rstrip("/"), options.user, password, options.out)
        for scene in (desk, phone, dark, chinese):
            scene(camera)
        browser.close()


if __name__ == "__main__":
    main()
