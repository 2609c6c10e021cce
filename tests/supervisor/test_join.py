"""A second machine as processes of its own: it joins a site by a code, pulls, is killed and comes back."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.models_admin.model_server import ModelServer, content, serving
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import ROOT, SiteProcess, free_port, is_alive, until

SIZE = 300_000
OTHER = content(4 << 20)[::-1]
HALF = 2 << 20
TINY = ROOT / "tiny_model" / "r1-tiny.gguf"


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", server.address)
        server.files = {"small.gguf": content(SIZE), "tiny.gguf": TINY.read_bytes()}
        yield server


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, hub: ModelServer) -> Iterator[SiteProcess]:
    words = ("--redis-bind", f"127.0.0.1:{free_port()}")
    running = SiteProcess(prepared(tmp_path_factory.mktemp("site") / "data"), free_port(), *words)
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.end()


@pytest.fixture(scope="module")
def code(site: SiteProcess) -> str:
    return str(json.loads(site.manage("host", "code", "--json"))["code"])


@pytest.fixture(scope="module")
def host(site: SiteProcess, code: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    """The other machine; it is a `bin/up` as well."""
    running = join(site, tmp_path_factory.mktemp("host") / "data", code, "--name", "gpu-2")
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.end()


def join(site: SiteProcess, data: Path, code: str, *words: str) -> SiteProcess:
    address = f"http://127.0.0.1:{site.port}"
    return SiteProcess(data, free_port(), "--join", address, "--code", code, *words, R1WEB_MODELS_SPARE_MB="0")


def row_of(site: SiteProcess, name: str) -> dict[str, Any]:
    rows = json.loads(site.manage("host", "list", "--json"))
    return next(dict(row) for row in rows if row["name"] == name)


def launched(host: SiteProcess) -> psutil.Process:
    """The server that the host has begun, by its own record."""
    record = next((host.data / "models" / ".servers" / "records").glob("*.json"))
    return psutil.Process(json.loads(record.read_text())["pid"])


def bytes_told(site: SiteProcess) -> int:
    """How far the newest pull is, as the site has written it down."""
    with closing(sqlite3.connect(site.data / "db.sqlite3")) as database:
        return int(database.execute("SELECT done_bytes FROM models_admin_pulljob ORDER BY id DESC").fetchone()[0])


def seen_at(site: SiteProcess, name: str = "gpu-2") -> str:
    """Of the newest look at the machine that the site has written down, '' before the first."""
    with closing(sqlite3.connect(site.data / "db.sqlite3")) as database:
        rows = database.execute(
            "SELECT seen_at FROM models_admin_host WHERE name = ? AND inventory != '{}'", (name,)
        ).fetchall()
    return str(rows[0][0]) if rows else ""


def test_a_machine_that_joined_is_seen_with_what_it_has(site: SiteProcess, host: SiteProcess) -> None:
    until(lambda: bool(seen_at(site)), "the site knows what it is")
    row = row_of(site, "gpu-2")
    assert (row["state"], row["address"]) == ("here", "127.0.0.1")
    assert row["memory_total_bytes"] > 0
    assert f"Host    gpu-2 of http://127.0.0.1:{site.port}" in host.output


def test_nothing_but_its_agent_runs_there_and_what_it_was_told_is_its_owners(host: SiteProcess) -> None:
    assert set(host.children()) == {"Agent"}
    assert not (host.data / "db.sqlite3").exists()
    assert (host.data / "host.json").stat().st_mode & 0o077 == 0
    shown = " ".join(host.children()["Agent"].cmdline())
    assert json.loads((host.data / "host.json").read_text())["secret"] not in shown and "redis://" not in shown


def test_agent_and_redis_killed_come_back_and_orders_are_done(site: SiteProcess, host: SiteProcess) -> None:
    before, heard = host.children()["Agent"], seen_at(site)
    before.kill()
    site.children()["Redis"].kill()  # it forgets who may come in
    until(lambda: host.children().get("Agent", before).pid != before.pid, "the agent runs again")
    until(lambda: seen_at(site) > heard, "the site hears of it")
    assert "Agent was ended by signal 9; it starts again" in host.output
    done = json.loads(site.manage("model", "pull", "o/m/small.gguf", "--host", "gpu-2", "--wait", "--json"))
    assert done["state"] == "done"
    assert Path(done["path"]).is_relative_to(host.data)
    assert Path(done["path"]).read_bytes() == content(SIZE)


def test_a_machine_that_is_not_let_in_says_why_and_keeps_nothing(
    site: SiteProcess, host: SiteProcess, code: str, tmp_path: Path
) -> None:
    other = join(site, tmp_path, code, "--name", "gpu-3")
    assert other.process.wait(60) == 2
    assert other.output.splitlines()[-1].startswith("This join code was used already")
    assert not (tmp_path / "host.json").exists()


def test_it_ends_whole_and_starts_again_without_a_code(site: SiteProcess, host: SiteProcess) -> None:
    agent = host.children()["Agent"]
    assert host.end(signal.SIGTERM) == 0
    assert not is_alive(agent) and not (host.data / "children.json").exists()
    again = SiteProcess(host.data, free_port())
    try:
        again.wait_until_ready()
        assert f"Host    gpu-2 of http://127.0.0.1:{site.port}" in again.output
        assert set(again.children()) == {"Agent"}
    finally:
        again.end()


@pytest.mark.long
def test_ctrl_c_in_the_middle_of_a_pull_keeps_its_bytes_and_ends_what_was_launched(
    site: SiteProcess, hub: ModelServer, tmp_path: Path
) -> None:
    code = json.loads(site.manage("host", "code", "--json"))["code"]
    host = join(site, tmp_path / "data", code, "--name", "gpu-4")
    try:
        host.wait_until_ready()
        site.manage("model", "pull", "o/m/tiny.gguf", "--host", "gpu-4", "--warm", "--wait")
        hub.files["other.gguf"], hub.holds_at = OTHER, HALF
        site.manage("model", "pull", "o/m/other.gguf", "--host", "gpu-4")
        until(lambda: bytes_told(site) > 0, "a part of it is there")
        at_hand, agent, server = bytes_told(site), host.children()["Agent"], launched(host)
    finally:
        assert host.end(signal.SIGINT) == 0
    assert host.output.splitlines()[-1] == "Everything has ended."
    assert not is_alive(agent) and not is_alive(server) and not (host.data / "children.json").exists()
    until(lambda: row_of(site, "gpu-4")["cut_off"].startswith("stopped there"), "the site knows at once")
    hub.holds_at = 0
    again = SiteProcess(host.data, free_port(), R1WEB_MODELS_SPARE_MB="0")
    try:
        again.wait_until_ready()
        done = json.loads(site.manage("model", "pull", "o/m/other.gguf", "--host", "gpu-4", "--wait", "--json"))
        assert done["state"] == "done" and Path(done["path"]).read_bytes() == OTHER
        first, second = hub.ranges("other.gguf")
        assert first == "" and int(re.findall(r"\d+", second)[0]) >= at_hand
        site.manage("model", "warm", "o/m/tiny.gguf", "--host", "gpu-4", "--wait")
    finally:
        again.end()
