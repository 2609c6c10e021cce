"""Takes the pictures of docs/screenshots/ from a running site.

python -m tests.journeys.screenshots http://localhost:8000 PASSWORD_FILE
    [--user admin] [--out docs/screenshots] [--only SCENE]
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.journeys.asking import ask, newest_answer, wait_for_words, wait_until_done

COUNT = "Count from 1 to 20"
CODE, TABLE, FORMULA = "Write a Python function for Fibonacci", "Table of fruits", "What is the quadratic formula?"
DESK = {"width": 1280, "height": 800}
PHONE = {"width": 390, "height": 844}
LOOKS: dict[str, dict[str, Any]] = {
    "": {"color_scheme": "light"},
    "-dark": {"color_scheme": "dark"},
    "-chinese": {"color_scheme": "light", "locale": "zh-CN"},
    "-phone": {"viewport": PHONE, "is_mobile": True, "has_touch": True, "color_scheme": "light"},
}


class Camera:
    def __init__(self, browser: Browser, url: str, user: str, password: str, out: Path) -> None:
        self.browser, self.url, self.user, self.password, self.out = browser, url, user, password, out

    def visit(self, **options: Any) -> Page:
        page = self.browser.new_context(**{"viewport": DESK, "reduced_motion": "reduce", **options}).new_page()
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
    ask(page, "12+34=?")
    page.locator(".thinking--live [data-text]").filter(has_text=re.compile(".{24}", re.DOTALL)).wait_for()
    camera.take(page, "thinking")
    wait_until_done(page)
    page.goto(page.url.split("/c/")[0])
    ask(page, COUNT)
    wait_for_words(page)
    camera.take(page, "writing")
    wait_until_done(page)
    for name, question in (("finished", CODE), ("finished-table", TABLE), ("finished-formula", FORMULA)):
        finished(page, question)
        camera.take(page, name)
    failed(page)
    camera.take(page, "failed")


def finished(page: Page, question: str) -> None:
    """A new chat with one answer, its thought opened, drawn to the end."""
    page.goto(page.url.split("/c/")[0])
    box = page.locator("#composer-text")
    box.fill(question)
    box.press("Enter")
    wait_until_done(page).locator("summary").click()
    box.blur()
    expect(page.locator(".conversation__state")).to_have_count(0)
    page.locator(":is(.katex, .hljs-keyword, .table):visible").first.wait_for()


def failed(page: Page) -> None:
    """More text than the demo model can read."""
    page.goto(page.url.split("/c/")[0])
    ask(page, "Count these words: " + "word " * 4000)
    expect(newest_answer(page)).to_have_attribute("data-state", "failed", timeout=60_000)
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight)")


def phone(camera: Camera) -> None:
    page = camera.visit(viewport=PHONE, is_mobile=True, has_touch=True, color_scheme="light")
    finished(page, CODE)
    camera.take(page, "phone")


def dark(camera: Camera) -> None:
    page = camera.visit(color_scheme="dark")
    finished(page, CODE)
    camera.take(page, "dark")


def chinese(camera: Camera) -> None:
    page = camera.visit(locale="zh-CN", color_scheme="light")
    camera.take(page, "chinese-empty")
    finished(page, "写出求根公式")
    camera.take(page, "chinese")


def models(camera: Camera) -> None:
    """Which model to take, and the admin's list; a site with several models shows more."""
    for ending, options in LOOKS.items():
        page = camera.visit(**options)
        page.goto(f"{camera.url}/models/")
        camera.take(page, f"models{ending}")
        page.goto(f"{camera.url}/admin/models_admin/cataloguemodel/")
        camera.take(page, f"admin-models{ending}")
        page.locator("#result_list th a", has_text=re.compile("R1 (32B|Tiny)")).first.click()
        page.locator(".change-form #content").wait_for()
        camera.take(page, f"admin-model{ending}")


def box(camera: Camera) -> None:
    """What the machines do, for members and on the admin's board; a site with several hosts shows more."""
    for ending, options in LOOKS.items():
        page = camera.visit(**options)
        page.goto(f"{camera.url}/box/")
        camera.take(page, f"box{ending}")
        page.goto(f"{camera.url}/admin/models_admin/host/")
        camera.take(page, f"admin-hosts{ending}")


def engine(camera: Camera) -> None:
    """An engine with what it says of itself: of an Ollama, which tells the most, where there is one."""
    for ending in ("", "-chinese"):
        page = camera.visit(**LOOKS[ending], viewport={**DESK, "height": 1120})
        page.goto(f"{camera.url}/admin/models_admin/engine/")
        engines = page.locator("#result_list tbody tr")
        ollama = engines.filter(has_text="Ollama")
        (ollama if ollama.count() else engines).first.locator("th a").click()
        page.locator(".change-form #content").wait_for()
        camera.take(page, f"admin-engine{ending}")


SCENES = {
    "desk": desk, "phone": phone, "dark": dark, "chinese": chinese, "models": models, "box": box, "engine": engine,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("password_file", type=Path)
    parser.add_argument("--user", default="admin")
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--only", choices=SCENES, action="append", help="scene to take; all where none is named")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=["--no-sandbox"])
        password = options.password_file.read_text().strip()
        camera = Camera(browser, options.url.rstrip("/"), options.user, password, options.out)
        for scene in options.only or SCENES:
            SCENES[scene](camera)
        browser.close()


if __name__ == "__main__":
    main()
