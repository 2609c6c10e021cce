"""An admin and a box that runs Ollama, in a browser: attach it, plan, pull through a kill, warm, chat, pin, evict.

With R1WEB_PICTURES=FOLDER each step leaves a picture there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.journeys.admin_steps import (
    LOAD_SECONDS,
    now,
    open_admin,
    open_model,
    picture,
    pin,
    plan,
    pull_and_warm,
    until_warm,
)
from tests.journeys.asking import ask, text_of, wait_until_done
from tests.models_admin.registry_server import manifest, registry_server
from tests.scripted_ollama import ScriptedOllama, serving
from tests.supervisor.site_process import SiteProcess, free_port, until

PASSWORD = "a-password-of-the-tests"
HOST = "the site's machine"
# Such that two fit into 2.8 GiB beside the demo model and three do not, without asking much of the machine itself.
FIRST, SECOND, THIRD = "deepseek-r1:1.5b", "deepseek-r1:7b", "deepseek-r1:8b"
SIZES = {FIRST: 1_117_000_000, SECOND: 900_000_000, THIRD: 1_000_000_000}


@pytest.fixture
def ollama() -> Iterator[ScriptedOllama]:
    """It has none of the models; its registry knows them all."""
    with serving() as box, registry_server() as registry, pytest.MonkeyPatch.context() as environment:
        for name, size in SIZES.items():
            family, _, tag = name.partition(":")
            layers = manifest(name, weights=size)
            box.library[name] = (size, registry.serve_model(f"library/{family}", tag, layers))
        environment.setenv("OLLAMA_REGISTRY", registry.url)
        yield box


@pytest.fixture
def box_site(tmp_path_factory: pytest.TempPathFactory, ollama: ScriptedOllama) -> Iterator[SiteProcess]:
    folder = tmp_path_factory.mktemp("ollama-box")
    (folder / "password").write_text(PASSWORD)
    words = ("--admin-password-file", str(folder / "password"))
    site = SiteProcess(folder / "data", free_port(), *words, R1WEB_MODELS_SPARE_MB="0")
    try:
        site.wait_until_ready()
        yield site
    finally:
        ollama.may_pull.set()
        site.end()


@pytest.fixture
def admin(visit: Any, box_site: SiteProcess) -> Page:
    visitor = visit(f"http://localhost:{box_site.port}")
    visitor.password = PASSWORD
    page: Page = visitor.sign_in()
    return page


def attach(page: Page, address: str) -> None:
    open_admin(page, "engine/add/")
    page.get_by_label("Host").select_option(label="the site's machine")
    page.get_by_label("Kind").select_option(label="Ollama")
    page.get_by_label("Address").fill(address)
    page.get_by_role("button", name="Save", exact=True).click()


def engines(page: Page) -> str:
    open_admin(page, "engine/")
    return page.locator("#result_list").inner_text()


def add(page: Page, name: str) -> None:
    open_admin(page, "cataloguemodel/add/")
    page.get_by_label("Name").fill(name)
    page.get_by_role("button", name="Add", exact=True).click()
    expect(page.locator(".messagelist")).to_contain_text(f"{name} is added.", ignore_case=True)


def test_from_an_address_to_an_eviction(admin: Page, box_site: SiteProcess, ollama: ScriptedOllama) -> None:
    home = f"http://localhost:{box_site.port}"
    attach(admin, ollama.address)
    until(lambda: "0.24.0" in engines(admin), "the site has asked the engine")
    picture(admin, "ollama-attached")
    for name in SIZES:
        add(admin, name)
    box_site.manage("shell", "-c", "from models_admin.models import Host; "
                    "Host.objects.update(memory_limit_bytes=28 * 2**30 // 10)")  # fmt: skip
    # The verdict, the pull, a kill at half, and the rest of it.
    ollama.may_pull.clear()
    plan(admin, FIRST, HOST)
    expect(admin.locator("table.plan tr", has_text=HOST)).to_contain_text("fits")
    picture(admin, "ollama-plan")
    pull_and_warm(admin, FIRST, HOST)
    open_model(admin, FIRST)
    expect(now(admin)).to_contain_text("pulling 558 MB of 1.1 GB", timeout=LOAD_SECONDS)
    box_site.children()["Runner"].kill()
    assert ollama.pull_given_up.wait(30), "whoever pulled is gone"
    picture(admin, "ollama-pull-killed")
    ollama.may_pull.set()
    until_warm(admin, FIRST)
    assert ollama.begun == [(FIRST, 0), (FIRST, SIZES[FIRST] // 2)]
    picture(admin, "ollama-warm")
    # A chat with it.
    admin.goto(f"{home}/?model={FIRST}")
    ask(admin, "Count")
    assert text_of(wait_until_done(admin)).endswith("t0012")
    picture(admin, "ollama-chat")
    # A pin holds it; the second comes in beside it, and the third makes the second go.
    pin(admin, FIRST, "visitors at three")
    pull_and_warm(admin, SECOND, HOST)
    until_warm(admin, SECOND)
    plan(admin, THIRD, HOST)
    expect(admin.locator("table.plan tr", has_text=HOST)).to_contain_text("after unloading R1 7B")
    picture(admin, "ollama-plan-evicting")
    pull_and_warm(admin, THIRD, HOST)
    until_warm(admin, THIRD)
    assert set(ollama.loaded) == {FIRST, THIRD}
    open_model(admin, SECOND)
    expect(now(admin)).to_contain_text(re.compile("cold on", re.I))
    picture(admin, "ollama-evicted")
    # Another program unloads what nobody pinned or asked for.
    open_model(admin, THIRD)
    del ollama.loaded[THIRD]
    expect(now(admin)).to_contain_text("Somebody else unloaded it.", timeout=LOAD_SECONDS)
    picture(admin, "ollama-unloaded-outside")
    open_model(admin, FIRST)
    expect(now(admin)).to_contain_text(re.compile("warm on", re.I))
    admin.goto(f"{home}/box/")
    expect(admin.get_by_role("main")).to_contain_text("visitors at three")
    picture(admin, "ollama-box")
