"""An admin and a new machine, in a browser: join it, plan, pull through a kill, warm, chat, pin, and let one go.

With R1WEB_PICTURES=FOLDER each step leaves a picture there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest
from playwright.sync_api import Page, expect

from tests.journeys.admin_steps import LOAD_SECONDS, now, open_model, picture, pin, pull_and_warm, until_warm
from tests.journeys.asking import ask, text_of, wait_until_done
from tests.journeys.script_questions import Asking, shell
from tests.models_admin.model_server import ModelServer, serving
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import ROOT, SiteProcess, free_port

TINY = (ROOT / "tiny_model" / "r1-tiny.gguf").read_bytes()
# Behind the last tensor nothing is read: a tail makes it another file, and long enough to be killed in its middle.
FILES = {"alpha.gguf": TINY + b"a" * 40_000_000, "beta.gguf": TINY + b"b", "gamma.gguf": TINY + b"c"}
HALF = 20_000_000
PASSWORD = "a-password-of-the-tests"


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", server.address)
        server.files = FILES
        yield server


@pytest.fixture(scope="module")
def boxes(tmp_path_factory: pytest.TempPathFactory, hub: ModelServer) -> Iterator[SiteProcess]:
    folder = tmp_path_factory.mktemp("boxes")
    (folder / "password").write_text(PASSWORD)
    words = ("--admin-password-file", str(folder / "password"), "--redis-bind", f"127.0.0.1:{free_port()}")
    site = SiteProcess(prepared(folder / "data"), free_port(), *words, R1WEB_MODELS_SPARE_MB="0")
    try:
        site.wait_until_ready()
        for file in FILES:
            site.manage("add_model", f"o/m/{file}")
        yield site
    finally:
        hub.let_go.set()
        site.end()


@pytest.fixture
def admin(visit: Any, boxes: SiteProcess) -> Page:
    visitor = visit(f"http://localhost:{boxes.port}")
    visitor.password = PASSWORD
    page: Page = visitor.sign_in()
    return page


@pytest.fixture(scope="module")
def joined(boxes: SiteProcess, hub: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Any]]:
    """What was started on the other machine; the first test puts it there."""
    started: list[SiteProcess] = []
    yield started
    for each in started:
        each.end()


def test_from_a_join_to_an_eviction(
    admin: Page, boxes: SiteProcess, hub: ModelServer, joined: list[Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    home = f"http://localhost:{boxes.port}"
    # Join.
    admin.goto(f"{home}/admin/models_admin/host/add/")
    admin.get_by_role("button", name="Make a join code").click()
    picture(admin, "hosts-join-code")
    command = admin.locator("code.secret").inner_text().split()
    address, code = command[command.index("--join") + 1], command[command.index("--code") + 1]
    words = ("--join", address, "--code", code, "--name", "gpu-2")
    folder = tmp_path_factory.mktemp("gpu-2") / "data"
    other = SiteProcess(folder, free_port(), *words, R1WEB_MODELS_SPARE_MB="0")
    joined.append(other)
    other.wait_until_ready()
    admin.goto(f"{home}/admin/models_admin/host/")
    expect(admin.locator("#result_list")).to_contain_text("gpu-2")
    expect(admin.locator("#result_list tr", has_text="gpu-2")).to_contain_text("free", timeout=LOAD_SECONDS)
    picture(admin, "hosts-board")
    # Two of the small models fit on it, three do not.
    boxes.manage("shell", "-c", "from models_admin.models import Host; "
                 "Host.objects.filter(name='gpu-2').update(memory_limit_bytes=200 * 2**20)")  # fmt: skip
    # The verdict, the pull, a kill at half, and the rest of it.
    hub.holds_at = HALF
    pull_and_warm(admin, "alpha", "gpu-2")
    open_model(admin, "alpha")
    expect(now(admin)).to_contain_text(re.compile(r"\(4\d %\)|pulling"), timeout=LOAD_SECONDS)
    before = other.children()["Agent"]
    before.kill()
    picture(admin, "hosts-pull-killed")
    hub.let_go.set()
    hub.holds_at = 0
    until_warm(admin, "alpha")
    assert any(asked for asked in hub.ranges("alpha.gguf")), "it went on from the bytes at hand"
    picture(admin, "hosts-warm")
    # A chat with it.
    admin.goto(f"{home}/?model=o/m/alpha.gguf")
    ask(admin, "12+34=?")
    assert "46" in text_of(wait_until_done(admin))
    picture(admin, "hosts-chat")
    # A pin holds it; the second comes in beside it, and the third makes the second go.
    pin(admin, "alpha", "visitors at three")
    for file in ("beta", "gamma"):
        pull_and_warm(admin, file, "gpu-2")
        until_warm(admin, file)
    open_model(admin, "beta")
    expect(now(admin)).to_contain_text(re.compile("cold|not loaded|stopped", re.I))
    open_model(admin, "alpha")
    expect(now(admin)).to_contain_text(re.compile("warm on", re.I))
    picture(admin, "hosts-pinned")
    admin.goto(f"{home}/box/")
    expect(admin.locator("main")).to_contain_text("visitors")
    picture(admin, "hosts-box")


def test_two_hosts_share_the_load_and_one_goes_on_alone(boxes: SiteProcess, joined: list[Any]) -> None:
    """After the first test, which left the model warm on the machine that joined."""
    (other,) = joined
    boxes.manage("model", "pull", "o/m/alpha.gguf", "--host", "local", "--warm", "--wait")
    boxes.manage("model", "warm", "o/m/alpha.gguf", "--host", "local", "--wait")
    # Slow enough that four questions are at work at once, on two slots each.
    shell(boxes, "Deployment.objects.update(tokens_per_second=5, slots=2)")
    asking = Asking(boxes)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(asking.ask) for _ in range(4)]
        shared = [answer.result(120) for answer in answers]
    assert all("46" in answer for answer in shared)
    assert asking.hosts() == {"local", "gpu-2"}
    end_machine(other)
    shell(boxes, "Generation.objects.update(deployment=None)")
    for _ in range(3):
        assert "46" in asking.ask()
    assert asking.hosts() == {"local"}


def end_machine(host: SiteProcess) -> None:
    """As if its power were cut: supervisor, agent and the servers that it launched."""
    host.process.kill()
    for process in psutil.process_iter(["cmdline"]):
        if any(str(host.data) in word for word in process.info["cmdline"] or []):
            process.kill()
