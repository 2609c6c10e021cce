"""A second machine as processes of its own: it joins a site by a code, pulls, is killed and comes back."""

from __future__ import annotations

import json
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.models_admin.model_server import ModelServer, content, serving
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import SiteProcess, free_port, is_alive, until

SIZE = 300_000


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server, pytest.MonkeyPatch.context() as environment:
        environment.setenv("HF_ENDPOINT", server.address)
        server.files = {"small.gguf": content(SIZE)}
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
