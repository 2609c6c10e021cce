"""Takes the pictures of sharing in docs/screenshots/, each from a site of its own with scripted engines.

python -m tests.journeys.sharing_pictures [--out docs/screenshots] [--only SCENE]
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, WebSocketRoute, expect, sync_playwright

from tests.journeys.asking import newest_answer
from tests.journeys.conftest import Visitor, open_browser
from tests.journeys.screenshots import DESK, LOOKS
from tests.journeys.sharing_words import (
    BUSY,
    CLOUD,
    COLD,
    LONG,
    LONGS,
    QUESTION,
    QUESTIONS,
    REASON,
    REASONS,
    SMALL,
    THOUGHT,
    THOUGHTS,
)
from tests.processes import until
from tests.scripted_ollama import ScriptedOllama, serving
from tests.stack import Person, Stack

BOTH = ("", "-chinese")
THREE = (*BOTH, "-dark")
MIN, ADMIN = ("Min", "Kwon"), ("Li", "Wei")
PACE = 4
TALLEST = 1400
ZONE = "Asia/Shanghai"
Frame = dict[str, Any]
Retelling = Callable[[Frame], Frame]


class Studio:
    """A site with its world, and browsers before it. `run_at_once`: answers that one person has at a time."""

    def __init__(self, browser: Browser, out: Path, ollama: ScriptedOllama, run_at_once: int = 1000) -> None:
        self.browser, self.out, self.ollama = browser, out, ollama
        self.stack = Stack(slots=2, pace=PACE, R1WEB_RUNNING_PER_USER=str(run_at_once))

    def start(self) -> None:
        self.stack.manage("collectstatic", "--noinput", "--verbosity", "0")
        self.stack.start()
        for name in self.ollama.models:
            words = ["attach_engine", self.ollama.address, "--kind", "ollama", "--model", name, "--slots", "1"]
            self.stack.manage(*words, "--context", "8192")
        self.do("models", ollama=self.ollama.address)
        self.do("people")
        until(lambda: self.stack.orm("result = bool(Host.objects.get().inventory)"), "the agent has looked", 30)
        states = "result = sorted(Deployment.objects.filter(engine__base_url=url).values_list('state', flat=True))"
        wanted = ["stopped", "warm"]
        until(lambda: self.stack.orm(states, url=self.ollama.address) == wanted, "one is warm, one is cold", 30)

    def do(self, what: str, **names: Any) -> Any:
        """Runs a function of `sharing_world` in the site's shell."""
        code = f"from tests.journeys import sharing_world as world\nresult = world.{what}(**arguments)"
        return self.stack.orm(code, arguments=names)

    def person(self, named: tuple[str, str] = MIN, *, is_admin: bool = False) -> Person:
        made = self.stack.person()
        self.do("name", pk=made.pk, first=named[0], last=named[1], is_admin=is_admin)
        self.stack.orm("User.objects.filter(pk=pk).update(main_group=Group.objects.first())", pk=made.pk)
        return made

    @contextmanager
    def page(self, look: str, person: Person, path: str = "/", retold: Retelling | None = None) -> Iterator[Page]:
        """A page in one of the LOOKS, to which each frame of the site is told as `retold` has it."""
        options = {"viewport": DESK, "reduced_motion": "reduce", "timezone_id": ZONE, **LOOKS[look]}
        visitor = Visitor(self.browser.new_context(**options), self.stack.url())
        cookie: Any = {"name": "sessionid", "value": person.session, "url": self.stack.url()}
        zone: Any = {"name": "time_zone", "value": ZONE, "url": self.stack.url()}
        visitor.context.add_cookies([cookie, zone])
        if retold:
            visitor.page.route_web_socket(re.compile("/ws/"), lambda socket: _retell(socket, retold))
        visitor.page.goto(f"{self.stack.url()}{path}")
        yield visitor.page
        over = visitor.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert over <= 0, f"{path} is {over} px wider than the screen, {look}"
        assert visitor.errors == [], visitor.errors
        visitor.context.close()

    def take(self, page: Page, name: str, look: str, *, is_whole: bool = False) -> None:
        size = page.viewport_size
        if is_whole and size:
            # The admin's pages scroll inside themselves.
            height = page.evaluate("Math.max(...[...document.querySelectorAll('*')].map((each) => each.scrollHeight))")
            page.set_viewport_size({"width": size["width"], "height": min(max(size["height"], height), TALLEST)})
        page.evaluate("document.fonts.ready")
        page.mouse.move(0, 0)
        page.screenshot(path=self.out / f"sharing-{name}{look}.png")


def _retell(socket: WebSocketRoute, retold: Retelling) -> None:
    server = socket.connect_to_server()
    server.on_message(lambda message: socket.send(json.dumps(retold(json.loads(message)))))


def _overtaken(frame: Frame) -> Frame:
    told = {"ahead": 3, "reason": {"code": "overtaken", "args": {"n": 3}}}
    return {**frame, **told} if frame["type"] == "waiting" else frame


def _thinks(look: str) -> Retelling:
    """In words, where the engine counts."""
    thoughts = THOUGHTS.get(look, THOUGHT)

    def retold(frame: Frame) -> Frame:
        if frame["type"] != "d":
            return frame
        numbers = map(int, re.findall(r"t(\d{4})", frame["d"]))
        return {**frame, "d": "".join(thoughts[(number - 1) % len(thoughts)] for number in numbers)}

    return retold


def _ask(page: Page, look: str = "", text: str = "") -> None:
    page.locator("body[data-ready]").wait_for()
    field = page.locator("#composer-text")
    field.fill(text or QUESTIONS.get(look, QUESTION))
    field.press("Enter")


def waiting(studio: Studio) -> None:
    """Ahead of one in the line, with the choice between waiting and a warm model."""
    studio.do("crowd")
    for look in LOOKS:
        with studio.page(look, studio.person(), f"/?model={BUSY}") as page:
            _ask(page, look)
            page.locator(".choice").nth(1).wait_for()
            studio.take(page, "waiting", look)
            page.locator(".waiting [data-action=stop]").click()
            expect(newest_answer(page)).to_have_attribute("data-state", "stopped")
    for look in BOTH:
        with studio.page(look, studio.person(), f"/?model={BUSY}", _overtaken) as page:
            _ask(page, look)
            page.locator(".choice").nth(1).wait_for()
            studio.take(page, "waiting-overtaken", look)
            page.locator(".waiting [data-action=stop]").click()
            expect(newest_answer(page)).to_have_attribute("data-state", "stopped")
    studio.do("end_all")


def cold(studio: Studio) -> None:
    """The picker with what a cold model would displace, what is told before sending, and the load."""
    studio.do("use_today", key="two:latest", count=3)
    for look in LOOKS:
        person = studio.person()
        studio.do("limits", pk=person.pk, kinds=["gpu"])
        with studio.page(look, person) as page:
            page.locator("body[data-ready]").wait_for()
            page.locator(".model-button").click()
            page.locator(".picker__row").nth(3).wait_for()
            studio.take(page, "picker", look)
            page.locator(f"[data-choices] [data-model='{COLD}'] .picker__option").click()
            page.locator("#composer-text").fill(QUESTIONS.get(look, QUESTION))
            expect(page.locator("[data-foretold]")).to_contain_text("68")
            studio.take(page, "before-sending", look)
    studio.ollama.may_load.clear()
    for look in LOOKS:
        with studio.page(look, studio.person(), f"/?model={COLD}") as page:
            _ask(page, look)
            page.locator(".waiting .tell-me").wait_for()
            until(lambda: studio.stack.orm(LOADING, key=COLD), "it is loading", 60)
            page.locator(".waiting progress:visible").wait_for()
            page.locator(".choice").nth(1).wait_for()
            studio.take(page, "loading", look)
    studio.do("end_all")
    studio.ollama.may_load.set()


LOADING = (
    "result = bool(Deployment.objects.filter(artifact__model__key=key, state='starting', stage='loading')"
    ".update(progress=62))"
)


def cap(studio: Studio) -> None:
    """One's own other answer runs first."""
    for look in BOTH:
        person = studio.person()
        studio.do("asks", pk=person.pk, model=SMALL, text=LONGS.get(look, LONG))
        with studio.page(look, person, f"/?model={SMALL}") as page:
            _ask(page, look)
            page.locator(".waiting").wait_for()
            expect(page.locator(".waiting__why")).to_contain_text(re.compile("other questions|其他"))
            page.locator(".choice").nth(1).wait_for()
            studio.take(page, "waiting-cap", look)
        studio.do("end_all")


def walls(studio: Studio) -> None:
    """A limit of each unit used up, before and after more was asked for, and the warning before it."""
    studio.do("cloud")
    full = {
        "gpu": {"gpu_ms": 600_000}, "tokens": {"output_tokens": 500_000}, "requests": {"requests": 60},
        "money": {"cost_micro": 5_000_000, "model_key": CLOUD}, "running": {"is_kept": True, "running": 2},
    }  # fmt: skip
    for kind, used in full.items():
        for look in LOOKS if kind == "gpu" else BOTH:
            person = studio.person()
            kinds = [kind, *(each for each in ("tokens", "requests") if each != kind)]
            studio.do("limits", pk=person.pk, kinds=kinds)
            studio.do("take", pk=person.pk, **used)
            studio.do(
                "take", pk=person.pk, output_tokens=212_000 * (kind != "tokens"), requests=9 * (kind != "requests")
            )
            model = CLOUD if kind == "money" else BUSY
            with studio.page(look, person, f"/?model={model}") as page:
                _wall(studio, page, kind, look)


def _wall(studio: Studio, page: Page, kind: str, look: str) -> None:
    page.locator("body[data-ready]").wait_for()
    if kind == "running":
        _ask(page, look)
    page.locator("[data-wall]").wait_for()
    page.locator("#composer-text").fill(QUESTIONS.get(look, QUESTION))
    if kind == "gpu":
        studio.take(page, "wall", look)
        page.locator("[data-more]").click()
        page.locator(".wall__ask textarea").fill(REASONS.get(look, REASON))
        studio.take(page, "wall-asking", look)
        page.locator(".wall__ask button").click()
    else:
        page.locator("[data-more]").click()
        page.locator(".wall__ask textarea").fill(REASONS.get(look, REASON))
        page.locator(".wall__ask button").click()
    page.locator(".wall__asked").wait_for()
    studio.take(page, f"wall-{kind}-asked", look)


def warning(studio: Studio) -> None:
    """Four fifths of a limit are used."""
    for look in BOTH:
        person = studio.person()
        studio.do("limits", pk=person.pk, kinds=["gpu"])
        studio.do("take", pk=person.pk, gpu_ms=512_000)
        with studio.page(look, person, f"/?model={BUSY}") as page:
            page.locator("[data-quota-warning]:visible").wait_for()
            page.locator("#composer-text").fill(QUESTIONS.get(look, QUESTION))
            studio.take(page, "warning", look)


def usage(studio: Studio) -> None:
    """One's own page, and the admin's: use, limits with a preview, presets, requests and granting."""
    studio.do("cloud")
    person, admin = studio.person(), studio.person(ADMIN, is_admin=True)
    studio.do("limits", pk=person.pk, kinds=["gpu", "tokens", "requests"])
    studio.do("past")
    studio.do("take", pk=person.pk, gpu_ms=188_000, output_tokens=212_000, requests=51)
    for look in LOOKS:
        with studio.page(look, person, "/usage/") as page:
            page.locator(".chart__plot").first.wait_for()
            studio.take(page, "usage", look, is_whole=True)
    studio.do("ask_for_more", pk=person.pk, reason=REASON)
    for look in THREE:
        with studio.page(look, admin, "/admin/accounts/boxday/") as page:
            studio.take(page, "board", look, is_whole=True)
    for look in BOTH:
        _limits(studio, admin, look)


def _limits(studio: Studio, admin: Person, look: str) -> None:
    with studio.page(look, admin, "/admin/accounts/quotalimit/") as page:
        studio.take(page, "admin-limits", look)
    with studio.page(look, admin, "/admin/accounts/quotalimit/presets/class/") as page:
        studio.take(page, "admin-preset", look, is_whole=True)
    with studio.page(look, admin, "/admin/accounts/quotalimit/add/") as page:
        page.locator("[name=subject_kind]").select_option("everyone")
        page.locator("[name=is_each]").check()
        page.locator("[name=amount]").fill("60")
        page.locator("[name=unit]").select_option("gpu_ms")
        page.locator("[name=window]").select_option("day")
        page.locator("[name=_preview]").click()
        page.locator(".module.card h2").first.wait_for()
        studio.take(page, "admin-limit-preview", look, is_whole=True)
    with studio.page(look, admin, "/admin/accounts/quotarequest/") as page:
        studio.take(page, "admin-requests", look)
        page.locator("#result_list tbody th a").first.click()
        studio.take(page, "admin-grant", look, is_whole=True)


def access(studio: Studio) -> None:
    """A model that somebody may see and not ask, and one that he may ask while it is warm."""
    for look in BOTH:
        person = studio.person()
        studio.do("keep_from", pk=person.pk, model_key=COLD, may="see")
        studio.do("keep_from", pk=person.pk, model_key=BUSY, may="see")
        with studio.page(look, person) as page:
            page.locator("body[data-ready]").wait_for()
            page.locator(".model-button").click()
            page.locator(".picker__row").nth(3).wait_for()
            studio.take(page, "access", look)


def answers(studio: Studio) -> None:
    """A thought that can be ended, one that cannot, a seam, and an answer that broke off."""
    studio.do("cloud")
    for look in LOOKS:
        _thinking(studio, "answer-now", look)
    for look in LOOKS:
        person, language = studio.person(), "zh" if look == "-chinese" else "en"
        seam = studio.do("carried_on", pk=person.pk, language=language)
        broken = studio.do("broken_off", pk=person.pk, language=language)
        with studio.page(look, person, f"/c/{seam}/") as page:
            page.locator(".seam").wait_for()
            studio.take(page, "seam", look)
        with studio.page(look, person, f"/c/{broken}/") as page:
            page.locator(".broken button").first.wait_for()
            studio.take(page, "broken", look)
    studio.stack.orm("Engine.objects.filter(kind='llama.cpp').update(kind='openai-compatible')")
    for look in BOTH:
        _thinking(studio, "answer-now-cannot", look)


def _thinking(studio: Studio, name: str, look: str) -> None:
    with studio.page(look, studio.person(), f"/?model={BUSY}", _thinks(look)) as page:
        _ask(page, look)
        page.locator(".thinking--live [data-text]").filter(has_text=re.compile(".{90}", re.DOTALL)).wait_for()
        studio.take(page, name, look)
    studio.do("end_all")


SCENES: dict[str, Callable[[Studio], None]] = {
    "waiting": waiting, "cap": cap, "cold": cold, "walls": walls, "warning": warning, "usage": usage, "access": access,
    "answers": answers,
}  # fmt: skip
RUN_AT_ONCE = {"cap": 1}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("docs/screenshots"))
    parser.add_argument("--only", choices=SCENES, action="append", help="scene to take; all where none is named")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright:
        browser = open_browser(playwright)
        for scene in options.only or SCENES:
            with serving(one=1 << 30, two=1 << 30) as ollama:
                ollama.loaded["two:latest"] = 8192
                studio = Studio(browser, options.out, ollama, RUN_AT_ONCE.get(scene, 1000))
                try:
                    studio.start()
                    SCENES[scene](studio)
                finally:
                    studio.stack.end()
        browser.close()


if __name__ == "__main__":
    main()
