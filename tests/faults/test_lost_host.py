"""A joined host that dies while it writes: on both hosts an engine of known text and pace, launched by its agent."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import scripted_server
from tests.faults.asking import question
from tests.invariants import violations
from tests.models_admin.model_server import ModelServer, serving
from tests.network_island import Island
from tests.processes import until_async
from tests.stack import Person
from tests.supervisor.site_process import ROOT, SiteProcess, free_port, until
from tests.tab import Shown, Tab

pytestmark = pytest.mark.long
TINY = (ROOT / "tiny_model" / "r1-tiny.gguf").read_bytes()
BOTH, ALONE = "o/m/both.gguf", "o/m/alone.gguf"
FAR = "gpu-2"
PACE, LONG = 10, 150
PARTS = """
rows = Segment.objects.filter(generation__pk=pk).order_by('attempt')
result = [dict(host=s.deployment.engine.host.name, finish=s.finish, tokens=s.thinking_tokens + s.answer_tokens)
    for s in rows]
"""


class Site:
    """The first host's `bin/up` as tabs and the checker want it."""

    def __init__(self, folder: Path, cable: Island) -> None:
        self.port, self._data, self._programs = free_port(), folder / "data", folder / "programs"
        self._words = ("--host", "0.0.0.0", "--redis-bind", f"{cable.home}:{free_port()}")
        self._settings = {"R1WEB_HOSTS": cable.home, "R1WEB_TITLES": "0", "R1WEB_MODELS_SPARE_MB": "0"}
        self._settings["PATH"] = scripted_server.install(self._programs, pace=PACE)
        self.start(R1WEB_STRANDED_SECONDS="5")

    def start(self, **settings: str) -> None:
        self.process = SiteProcess(self._data, self.port, *self._words, **self._settings, **settings)
        self.process.wait_until_ready()

    def url(self, web: int = 0) -> str:
        return f"http://localhost:{self.port}"

    def orm(self, code: str, **names: object) -> Any:
        """What statements leave in `result`, as JSON."""
        lines = ["import json", *(f"from {room}.models import *" for room in ("accounts", "chat", "models_admin"))]
        lines += [*(f"{name} = {value!r}" for name, value in names.items()), code, "print(json.dumps(result))"]
        return json.loads(self.process.manage("shell", "-v", "0", "-c", "\n".join(lines)))

    def engine_entries(self) -> list[dict[str, Any]]:
        """Without the question by which it was warmed."""
        rows = scripted_server.entries(self._programs)
        return [row for row in rows if row["event"] != "start" or row["user"].startswith("say ")]

    def person(self) -> Person:
        pk, session = self.orm(
            "from django.contrib.sessions.backends.db import SessionStore\n"
            "u = User.objects.create_user(name, password=None)\ns = SessionStore()\n"
            "s.update({'_auth_user_id': str(u.pk), '_auth_user_hash': u.get_session_auth_hash(),"
            " '_auth_user_backend': 'django.contrib.auth.backends.ModelBackend'})\n"
            "s.save()\nresult = [u.pk, s.session_key]",
            name=f"p{uuid.uuid4().hex[:10]}",
        )
        return Person(pk, "", session)

    def is_warm(self, model: str, host: str) -> bool:
        rows = "Deployment.objects.filter(artifact__ref=model, engine__host__name=host, state='warm')"
        return bool(self.orm(f"result = {rows}.exists()", model=model, host=host))

    def parts(self, shown: Shown) -> list[dict[str, Any]]:
        """The attempts at an answer: where, how it ended, how many tokens."""
        return list(self.orm(PARTS, pk=shown.generation))


class FarHost:
    """The other machine, which is killed whole and comes back with what lies on its disk."""

    def __init__(self, folder: Path, cable: Island, site: Site) -> None:
        self._cable, self._data, self._site = cable, folder / "data", site
        self._path = scripted_server.install(folder / "programs", pace=PACE)
        code = json.loads(site.process.manage("host", "code", "--json"))["code"]
        self._start("--join", f"http://{cable.home}:{site.port}", "--code", code, "--name", FAR)
        for model in (BOTH, ALONE):
            site.process.manage("model", "pull", model, "--host", FAR, "--warm", "--wait")

    def _start(self, *words: str) -> None:
        settings = {"PATH": self._path, "R1WEB_MODELS_SPARE_MB": "0"}
        self.process = SiteProcess(self._data, free_port(), *words, through=self._cable.words, **settings)
        self.process.wait_until_ready()

    def return_warm(self) -> None:
        """By plain `bin/up`: its agent starts what ran there."""
        self._cable.mend()
        if self.process.process.poll() is not None:
            self._start()
        for model in (BOTH, ALONE):
            until(lambda model=model: self._site.is_warm(model, FAR), f"{model} is warm there again", LONG)

    def lose_power(self) -> None:
        """Nobody is told anything: what comes from the other side is not even refused."""
        self._cable.cut()
        self.kill9()

    def kill9(self) -> None:
        self._cable.kill_all()
        self.process.process.wait(30)


@pytest.fixture(scope="module")
def hub(cable: Island) -> Iterator[ModelServer]:
    with serving(address=cable.home) as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", server.address)
        server.files = {"both.gguf": TINY + b"b", "alone.gguf": TINY + b"a"}
        yield server


@pytest.fixture(scope="module")
def site(cable: Island, hub: ModelServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    made = Site(tmp_path_factory.mktemp("site"), cable)
    try:
        yield made
    finally:
        made.process.end()


@pytest.fixture(scope="module")
def far(cable: Island, site: Site, tmp_path_factory: pytest.TempPathFactory) -> Iterator[FarHost]:
    """Of two that are as idle the first to be deployed is asked first: that is here."""
    made = FarHost(tmp_path_factory.mktemp("far"), cable, site)
    try:
        site.process.manage("model", "pull", BOTH, "--warm", "--wait")
        yield made
    finally:
        made.process.end()


async def writing_there(site: Site, tab: Tab, model: str) -> Shown:
    """An answer that the far host is in the middle of."""
    shown = await tab.ask(question("say 20+250"), model=model)
    await until_async(lambda: len(shown.answer) > 100, "the answer begins", LONG)
    host = "Generation.objects.get(pk=pk).deployment.engine.host.name"
    assert await asyncio.to_thread(site.orm, f"result = {host}", pk=shown.generation) == FAR
    return shown


def state_of(shown: Shown) -> tuple[str, str]:
    assert shown.settled is not None
    return shown.settled["state"], shown.settled["reason"]


async def asked_anew(site: Site, tab: Tab) -> None:
    """A new question is answered by the host that is left."""
    shown = await tab.ask(question("say 5+20"), model=BOTH)
    await tab.settled(shown, seconds=LONG)
    assert state_of(shown) == ("done", "")
    parts = await asyncio.to_thread(site.parts, shown)
    assert [part["host"] for part in parts] == ["local"]


async def gone_on_with(site: Site, tab: Tab, shown: Shown) -> Shown:
    """By a wish of the person, which is a generation of its own."""
    find = "result = str(Generation.objects.get(pk=pk).message_id)"
    message = await asyncio.to_thread(site.orm, find, pk=shown.generation)
    made = await tab.wish("continue", key=str(uuid.uuid4()), message=message)
    assert made["type"] == "accepted", made
    rest = await tab.watch(made["generation"])
    await tab.settled(rest, seconds=LONG)
    return rest


async def test_a_host_without_power_is_carried_on_for_by_the_other(site: Site, far: FarHost) -> None:
    far.return_warm()
    async with Tab(site, site.person()) as tab:
        shown = await writing_there(site, tab, BOTH)
        far.lose_power()
        kept = shown.answer
        await asked_anew(site, tab)
        await tab.settled(shown, seconds=LONG)
        assert state_of(shown) == ("done", "") and shown.answer.startswith(kept)
        first, second = site.parts(shown)
        assert (first["host"], first["finish"], second["host"]) == (FAR, "engine_broke_off", "local")
        begun = [row["begun"] for row in site.engine_entries() if row["event"] == "start" and row["begun"]]
        assert begun == [first["tokens"]] == [270 - second["tokens"]], "gone on with behind its last word"
        seams = tab.heard("snapshot")[-1]["seams"]
        assert [(seam["tokens"], seam["host"]) for seam in seams] == [(first["tokens"], "local")]
        assert "gone" in site.process.manage("host", "list")
        assert violations(site, [tab]) == []


async def test_without_another_replica_it_ends_with_its_text_until_the_host_is_back(site: Site, far: FarHost) -> None:
    far.return_warm()
    async with Tab(site, site.person()) as tab:
        shown = await writing_there(site, tab, ALONE)
        far.kill9()
        kept = shown.answer
        await asked_anew(site, tab)
        await tab.settled(shown, seconds=LONG)
        assert state_of(shown) == ("failed", "never_ready") and shown.answer.startswith(kept)
        told = [frame["reason"] for frame in tab.heard("waiting")][-1]
        assert (told["code"], told["args"]["host"]) == ("host_gone", FAR) and told["args"]["until"]
        assert violations(site, [tab]) == []
        await asyncio.to_thread(far.return_warm)
        rest = await gone_on_with(site, tab, shown)
        assert state_of(rest) == ("done", "") and rest.answer.startswith(kept)


async def test_by_the_policy_fail_it_ends_at_once_with_its_text(site: Site, far: FarHost) -> None:
    site.process.end()
    site.start(R1WEB_AFTER_LOSS="fail")
    site.process.manage("model", "warm", BOTH, "--host", "local", "--wait")
    far.return_warm()
    async with Tab(site, site.person()) as tab:
        shown = await writing_there(site, tab, BOTH)
        far.kill9()
        kept = shown.answer
        await tab.settled(shown, seconds=LONG)
        assert state_of(shown) == ("failed", "engine_broke_off") and shown.answer.startswith(kept)
        assert len(site.parts(shown)) == 1
        await asked_anew(site, tab)
        rest = await gone_on_with(site, tab, shown)
        assert state_of(rest) == ("done", "") and rest.answer.startswith(kept)
        assert violations(site, []) == []
