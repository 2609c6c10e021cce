"""A newcomer's first minutes, timed: fresh clone, `bin/up`, set-up link, question, reload, LAN address."""

from __future__ import annotations

import argparse
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from tests.journeys.asking import ask, newest_answer, text_of, wait_for_words, wait_until_done
from tests.journeys.conftest import open_browser
from tests.journeys.running_site import lan_address
from tests.processes import until
from tests.running_engines import free_port

ROOT = Path(__file__).resolve().parent.parent
NAME, PASSWORD = "lin", "tall-blue-tree-9"
START_SECONDS, END_SECONDS = 600, 60
LONG_QUESTION = "Count from 1 to 20"


def measure(folder: Path) -> None:
    clone, output, port = folder / "clone", folder / "up.log", free_port()
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(clone)], check=True)
    # Nothing that an earlier run fetched: neither an environment nor pip's cache nor a data directory.
    values = {name: value for name, value in os.environ.items() if not name.startswith("R1WEB_")}
    values |= {"PIP_NO_CACHE_DIR": "1", "HOME": str(folder)}
    words = [str(clone / "bin" / "up"), "--port", str(port), "--host", "0.0.0.0"]
    start = time.monotonic()
    with output.open("wb") as log:
        process = subprocess.Popen(words, cwd=clone, env=values, stdout=log, stderr=log)
    try:
        until(lambda: "/setup/" in output.read_text() or process.poll() is not None, "the link", START_SECONDS)
        tell("set-up link printed", start)
        link = re.search(r"http\S+/setup/\S+", output.read_text())
        assert link, output.read_text()
        with sync_playwright() as playwright, closing(open_browser(playwright)) as browser:
            visit(browser, link[0], port, clone / "var" / "db.sqlite3", start)
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(END_SECONDS)
    print(output.read_text())


def visit(browser: Browser, link: str, port: int, database: Path, start: float) -> None:
    page = browser.new_page()
    page.goto(link)
    page.get_by_label("User name").fill(NAME)
    page.get_by_label("Password", exact=True).fill(PASSWORD)
    page.get_by_label("Password again").fill(PASSWORD)
    page.get_by_role("button", name="Create the admin and start").click()
    page.wait_for_url(re.compile(r"/$"))
    ask(page, "12+34=?")
    page.locator(".thinking--live [data-text]").filter(has_text=re.compile(r"\S")).wait_for()
    tell("first streamed token shown", start)
    answer = text_of(wait_until_done(page))
    assert "46" in answer, answer
    tell("12+34=46", start)
    reload_in_the_middle(page, database)
    address = lan_address()
    if address:
        from_the_lan(browser, f"http://{address}:{port}")


def reload_in_the_middle(page: Page, database: Path) -> None:
    page.goto(page.url.split("/c/")[0])
    ask(page, LONG_QUESTION)
    wait_for_words(page)
    page.reload()
    shown = text_of(wait_until_done(page))
    with closing(sqlite3.connect(database)) as rows:
        (stored,) = rows.execute("SELECT text FROM chat_message WHERE role = 'assistant' ORDER BY id DESC").fetchone()
    assert shown.split() == stored.split(), (shown, stored)
    print(f"reloaded in the middle: shows the {len(stored)} characters of the database")


def from_the_lan(browser: Browser, url: str) -> None:
    page = browser.new_page()
    page.goto(f"{url}/signin/")
    page.locator("[name=username]").fill(NAME)
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button[type=submit].button--primary").click()
    page.wait_for_url(f"{url}/")
    ask(page, "12+34=?")
    assert "46" in text_of(wait_until_done(page))
    newest_answer(page).get_by_role("button", name="Copy", exact=True).first.click()
    page.get_by_role("textbox", name="Message").press("Control+v")
    pasted = page.get_by_role("textbox", name="Message").input_value()
    assert "46" in pasted, pasted
    print(f"{url}: 46, and Copy pastes {pasted!r}")


def tell(what: str, start: float) -> None:
    print(f"{time.monotonic() - start:6.1f} s  {what}", flush=True)


def main() -> int:
    argparse.ArgumentParser(prog="bench/first_answer", description=__doc__).parse_args()
    with tempfile.TemporaryDirectory(prefix="r1f-") as name:
        measure(Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
