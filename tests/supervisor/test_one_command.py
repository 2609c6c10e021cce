"""bin/up from outside: real processes, killed for real."""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from r1web.supervisor import children
from tests.supervisor.prepared_data import prepared
from tests.supervisor.site_process import ROOT, SiteProcess, free_port, is_alive, until

NAMES = {"Redis", "Engine", "Web server", "Runner"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SiteProcess]:
    data = tmp_path_factory.mktemp("site") / "data"
    data.mkdir(mode=0o755)  # as somebody makes it who does not think of its rights
    running = SiteProcess(data, free_port())
    try:
        running.wait_until_ready()
        yield running
    finally:
        running.end()


def test_the_terminal_names_the_chat_the_admin_and_the_set_up_link(site: SiteProcess) -> None:
    address = f"http://localhost:{site.port}"
    assert f"Chat    {address}/" in site.output
    assert f"Admin   {address}/admin/" in site.output
    assert re.search(rf"Set-up  {address}/setup/\S+/", site.output)
    assert f"Manage  R1WEB_DATA={site.data} bin/manage" in site.output


def test_ready_means_that_the_health_check_passes(site: SiteProcess) -> None:
    assert site.answers("/healthz")
    assert set(site.children()) == NAMES


def test_secrets_are_readable_by_their_owner_alone(site: SiteProcess) -> None:
    made_by_us = ("site.env", "setup.link", "redis.key", "engine.key", "secret_key", "redis.sock", "children.json")
    for name in (*made_by_us, "db.sqlite3", "db.sqlite3-wal", "logs/web.log"):
        assert (site.data / name).stat().st_mode & 0o077 == 0, name


def test_the_set_up_link_is_in_no_log(site: SiteProcess) -> None:
    found = re.search(r"/setup/(\S+)/", site.output)
    assert found and site.answers(found[0])
    until(lambda: "/setup/" in (site.logs / "web.log").read_text(), "the visit is logged")
    assert not [log for log in site.logs.iterdir() if found[1] in log.read_text()]


def test_no_password_shows_in_the_process_list(site: SiteProcess) -> None:
    secrets = {(site.data / name).read_text().strip() for name in ("redis.key", "engine.key")}
    shown = " ".join(word for process in site.children().values() for word in process.cmdline())
    assert not any(secret in shown for secret in secrets)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_a_killed_child_is_restarted_and_the_terminal_says_so(site: SiteProcess, name: str) -> None:
    before = site.children()[name]
    before.kill()
    until(lambda: site.children().get(name, before).pid != before.pid, f"{name} runs again")
    assert f"{name} was ended by signal 9; it starts again" in site.output
    until(lambda: site.answers("/healthz"), "the site is healthy again")


def test_a_second_start_from_the_same_directory_is_refused_in_one_sentence(site: SiteProcess) -> None:
    second = SiteProcess(site.data, free_port())
    assert second.process.wait(timeout=60) == 2
    assert f"runs already from {site.data} (process {site.process.pid})" in second.output


def test_a_taken_port_is_told_with_a_free_one(site: SiteProcess, tmp_path: Path) -> None:
    second = SiteProcess(tmp_path / "data", site.port)
    assert second.process.wait(timeout=60) == 2
    assert re.search(rf"Port {site.port} is taken by another program: .*--port \d+", second.output)


def test_manage_finds_the_running_sites_redis_and_database(site: SiteProcess) -> None:
    script = "from django.conf import settings; print(settings.REDIS_URL, settings.DATABASES['default']['NAME'])"
    told = site.manage("shell", "-v0", "-c", script)
    assert str(site.data / "redis.sock") in told
    assert str(site.data / "db.sqlite3") in told


def test_a_command_without_a_site_is_refused_in_one_sentence_and_makes_nothing(tmp_path: Path) -> None:
    data = tmp_path / "data"
    command = [sys.executable, str(ROOT / "manage.py"), "api_token", "list"]
    bare = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    done = subprocess.run(command, capture_output=True, text=True, env=bare | {"R1WEB_DATA": str(data)})
    assert done.returncode == 1
    assert (
        done.stderr == f"There is no site in {data} yet: start bin/up first, or name its directory with R1WEB_DATA.\n"
    )
    assert not data.exists()


def test_compiled_modules_are_kept_even_where_none_are_wanted_beside_the_sources(tmp_path: Path) -> None:
    script = "import sys; print(sys.dont_write_bytecode, sys.pycache_prefix)"
    command = [sys.executable, str(ROOT / "bin" / "manage"), "shell", "-v0", "-c", script]
    bare = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "PYTHONPYCACHEPREFIX")}
    asked = bare | {"R1WEB_DATA": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=asked)
    assert done.stdout == f"False {ROOT / '.venv' / 'bytecode'}\n"


def nothing_is_left(site: SiteProcess, children: dict[str, psutil.Process]) -> None:
    assert not [name for name, process in children.items() if is_alive(process)]
    for name in ("redis.sock", "site.lock", "children.json"):
        assert not (site.data / name).exists(), name


def test_every_way_to_end_leaves_nothing_and_the_next_start_is_quick(tmp_path: Path) -> None:
    data, port = prepared(tmp_path / "data"), free_port()
    links = set()
    for number in (signal.SIGTERM, signal.SIGINT):
        site = SiteProcess(data, port)
        site.wait_until_ready()
        links |= set(re.findall(r"/setup/\S+/", site.output))
        children = site.children()
        assert site.end(number) == 0
        nothing_is_left(site, children)
    assert len(links) == 1, "the link that nobody used stays the same"
    found = re.search(r"Ready after (\S+) s", site.output)
    assert found
    print(f"second start to ready: {found[1]} s")


def test_a_killed_supervisor_leaves_nothing_that_disturbs_the_next_start(tmp_path: Path) -> None:
    data, port = prepared(tmp_path / "data"), free_port()
    first = SiteProcess(data, port)
    first.wait_until_ready()
    orphans = first.children()
    first.process.kill()
    first.process.wait()
    with closing(sqlite3.connect(data / "db.sqlite3")) as database:
        database.execute("PRAGMA user_version = 1")  # as if a newer version had brought migrations
    second = SiteProcess(data, port)
    try:
        second.wait_until_ready()
        assert not [name for name, process in orphans.items() if is_alive(process)]
        assert set(second.children()) == NAMES
        assert "copied before to backups/db-" in second.output
        assert list((data / "backups").glob("db-*.sqlite3"))
    finally:
        second.end()


def test_orphans_of_a_killed_supervisor_are_ended_but_strangers_are_not(tmp_path: Path) -> None:
    ours, stranger = (
        children.Child(children.Command(name, ["sleep", "60"], os.environ, tmp_path / "log"))
        for name in ("ours", "stranger")
    )
    ours.start()
    stranger.start()
    stranger.created -= 100  # as if its number had been given out anew since
    children.record(tmp_path / "children.json", [ours, stranger])
    try:
        assert children.end_orphans(tmp_path / "children.json") == ["ours"]
        assert not ours.is_running
        assert stranger.is_running
    finally:
        stranger.send(signal.SIGKILL)
        assert stranger.process
        stranger.process.wait()


def test_an_end_during_set_up_leaves_nothing(tmp_path: Path) -> None:
    site = SiteProcess(tmp_path / "data", free_port())
    until(lambda: "Redis" in site.children() or site.process.poll() is not None, "the first child runs")
    children = site.children()
    assert site.end(signal.SIGINT) == 0, site.output
    assert "Stopped before the site was up." in site.output
    nothing_is_left(site, children)


def test_an_unwritable_place_is_told_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    site = SiteProcess(tmp_path / "file" / "data", free_port())
    assert site.process.wait(timeout=60) == 2
    assert "R1 Web may not write in" in site.output
    assert "--data DIR" in site.output


def test_a_wrong_setting_is_told_before_anything_starts(tmp_path: Path) -> None:
    site = SiteProcess(Path("data"), free_port(), folder=tmp_path, R1WEB_RUNNER_STREAMS="many")
    assert site.process.wait(timeout=60) == 2
    assert "R1WEB_RUNNER_STREAMS is 'many'; write a whole number." in site.output
    assert not (site.logs / "redis.log").exists()


def test_a_start_waits_for_another_that_makes_the_environment(tmp_path: Path) -> None:
    for name in ("bin", "r1web", "requirements"):
        shutil.copytree(ROOT / name, tmp_path / name)
    with (tmp_path / "output").open("w+") as output, holding(tmp_path):
        command = [sys.executable, str(tmp_path / "bin" / "up"), "--port", str(free_port())]
        start = subprocess.Popen(command, stdout=output, stderr=output)
        waits = "Another start from this folder is installing: waiting for it."
        until(lambda: waits in (tmp_path / "output").read_text(), "it waits")
        assert start.poll() is None
        assert not (tmp_path / ".venv").exists()
        start.kill()
        start.wait()


@contextmanager
def holding(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    yield
    os.close(descriptor)


def test_the_unit_for_systemd_runs_this_command_with_its_settings(tmp_path: Path) -> None:
    password = tmp_path / "the password"
    command = [sys.executable, str(ROOT / "bin" / "up"), "--systemd", "--port", "8123", "--data", str(tmp_path)]
    command += ["--admin-password-file", str(password)]
    settings = {"R1WEB_HOSTS": "a.example,b.example", "R1WEB_SECRET_KEY_FILE": "/a b/100%"}
    secret = {"DATABASE_URL": "postgres://r1web:geheim@db/r1web"}
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **settings, **secret})
    unit = done.stdout.splitlines()
    program = f"ExecStart={sys.executable} {ROOT}/bin/up --port 8123 --host 127.0.0.1 --data {tmp_path}"
    assert f'{program} --admin-password-file "{password}"' in unit
    assert "KillMode=mixed" in unit
    assert "Environment=R1WEB_HOSTS=a.example,b.example" in unit
    assert 'Environment="R1WEB_SECRET_KEY_FILE=/a b/100%%"' in unit
    assert "EnvironmentFile=/etc/r1web.env" in unit and "geheim" not in done.stdout
