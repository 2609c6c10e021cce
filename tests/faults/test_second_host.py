"""A second host in a network namespace of its own, which reaches the site's web port, Redis and hub of models only."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from tests.journeys.script_questions import Asking, shell
from tests.models_admin.model_server import ModelServer, serving
from tests.network_island import Island
from tests.supervisor.site_process import ROOT, SiteProcess, free_port, until

pytestmark = pytest.mark.long
TINY = (ROOT / "tiny_model" / "r1-tiny.gguf").read_bytes()
FILES = {"alpha.gguf": TINY + b"a", "beta.gguf": TINY + b"b", "gamma.gguf": TINY + b"c" * 40_000_000}
HALF = 20_000_000
CUT_SECONDS = 60


@pytest.fixture(scope="module")
def hub(cable: Island) -> Iterator[ModelServer]:
    with serving(address=cable.home) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", server.address)
        server.files = FILES
        yield server


@pytest.fixture(scope="module")
def site(cable: Island, hub: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    folder = tmp_path_factory.mktemp("site")
    (folder / "password").write_text("a-password-of-the-tests")
    words = ("--admin-password-file", str(folder / "password"), "--host", "0.0.0.0",
             "--redis-bind", f"{cable.home}:{free_port()}")  # fmt: skip
    made = SiteProcess(folder / "data", free_port(), *words, R1WEB_MODELS_SPARE_MB="0", R1WEB_HOSTS=cable.home)
    try:
        made.wait_until_ready()
        yield made
    finally:
        hub.let_go.set()
        made.end()


@pytest.fixture(scope="module")
def far(
    cable: Island, hub: ModelServer, site: SiteProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SiteProcess]:
    """Joined, and with two models warm on each side, each on a llama.cpp that its host launched."""
    code = json.loads(site.manage("host", "code", "--json"))["code"]
    words = ("--join", f"http://{cable.home}:{site.port}", "--code", code, "--name", "gpu-2")
    folder = tmp_path_factory.mktemp("far") / "data"
    made = SiteProcess(folder, free_port(), *words, through=cable.words, R1WEB_MODELS_SPARE_MB="0")
    try:
        made.wait_until_ready()
        for file in ("alpha", "beta"):
            for host in ("gpu-2", "local"):
                site.manage("model", "pull", f"o/m/{file}.gguf", "--host", host, "--wait")
                site.manage("model", "warm", f"o/m/{file}.gguf", "--host", host, "--wait")
        yield made
    finally:
        made.end()


@pytest.fixture
def asking(site: SiteProcess, far: SiteProcess) -> Asking:
    shell(site, "Generation.objects.update(deployment=None)")
    return Asking(site)


def servers(where: set[int]) -> set[int]:
    """Pids of launched llama.cpp servers among these."""
    found = set()
    for pid in where:
        if any("embedded_engine" in word or "llama-server" in word for word in psutil.Process(pid).cmdline()):
            found.add(pid)
    return found


def at(site: SiteProcess, code: str) -> str:
    """What a shell of the site prints."""
    return shell(site, code).strip()


def pace(site: SiteProcess, tokens_per_second: int) -> None:
    at(site, f"Deployment.objects.update(tokens_per_second={tokens_per_second}, slots=2)")


def running_on(site: SiteProcess, host: str) -> str:
    """Ids of answers that are being written there, with something written."""
    rows = "Generation.objects.filter(state='running', first_token_at__isnull=False)"
    return at(site, f"print(*{rows}.filter(deployment__engine__host__name={host!r}).values_list('pk', flat=True))")


def test_it_reaches_the_site_and_nothing_else_of_it(cable: Island, far: SiteProcess, site: SiteProcess) -> None:
    probe = "import socket, sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 3)"
    engine = at(site, "print(Engine.objects.filter(host__name='local').first().base_url)")
    for address, port, opens in ((cable.home, site.port, True), (cable.home, int(engine.rpartition(":")[2]), False)):
        words = [*cable.words, sys.executable, "-c", probe, address, str(port)]
        assert (subprocess.run(words, capture_output=True, timeout=30).returncode == 0) is opens
    assert len(servers(cable.pids)) == 2


def test_both_take_their_share(asking: Asking, site: SiteProcess) -> None:
    pace(site, 5)
    with ThreadPoolExecutor(4) as pool:
        answers = [pool.submit(asking.ask) for _ in range(4)]
        assert all("46" in answer.result(150) for answer in answers)
    assert asking.hosts() == {"local", "gpu-2"}


def test_a_cut_of_a_minute_loses_nothing_and_repeats_nothing(
    asking: Asking, site: SiteProcess, far: SiteProcess, cable: Island, hub: ModelServer
) -> None:
    before = servers(cable.pids)
    hub.holds_at = HALF
    site.manage("model", "pull", "o/m/gamma.gguf", "--host", "gpu-2")
    until(lambda: hub.ranges("gamma.gguf") != [], "the pull is under way")
    until(lambda: at(site, "print(PullJob.objects.latest('pk').done_bytes)") == str(HALF), "half of it is there")
    pace(site, 1)
    with ThreadPoolExecutor(2) as pool:
        # Two at work, one on each side; both last about as long as the cut.
        answers = [pool.submit(asking.ask) for _ in range(2)]
        until(lambda: bool(running_on(site, "gpu-2")), "one is being written there")
        cable.cut()
        hub.holds_at = 0
        hub.let_go.set()
        threading.Event().wait(CUT_SECONDS)  # the network is away for so long: nothing else ends it
        assert "gone" in site.manage("host", "list")
        pace(site, 0)
        assert "46" in asking.ask(), "the other side answers meanwhile"
        cable.mend()
        assert all("46" in answer.result(150) for answer in answers)
    jobs = "PullJob.objects.filter(stored__artifact__ref='o/m/gamma.gguf')"
    until(lambda: at(site, f"print(*{jobs}.values_list('state', flat=True))") == "done", "the one pull is done")
    assert all(int(re.findall(r"\d+", asked)[0]) >= HALF for asked in hub.ranges("gamma.gguf")[1:]), "no byte twice"
    assert servers(cable.pids) == before, "its servers ran on, and none was begun a second time"
    until(lambda: "gone" not in site.manage("host", "list"), "it is back")
    assert at(site, "print(Generation.objects.exclude(state='done').count())") == "0"
    assert at(site, "print(Segment.objects.count() - Generation.objects.count())") == "0", "one attempt at each"
    warm = "Deployment.objects.filter(engine__host__name='gpu-2', state='warm').count()"
    until(lambda: at(site, f"print({warm})") == "2", "both models are warm there")
