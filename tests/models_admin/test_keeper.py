"""The keeper of engine servers, with real processes: what the site is told, and what runs on the machine."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import psutil
import pytest

from models_admin.loads import warm_words
from models_admin.orders.launch_orders import LaunchOrder, Server, ServerWord
from models_admin.servers.keeper import TELL_END_TIMES, Keeper, Pauses, end_all, note
from models_admin.servers.keeper_life import cancelled
from models_admin.servers.server_log import MAX_BYTES
from tests.processes import ROOT, until_async
from tests.running_engines import MODEL, free_port

PROGRAM = Path(__file__).with_name("engine_program.py")
KEY = "a-key-for-tests"
QUICK = Pauses(look=0.05, tell=0.2, first_restart=0.01, longest_restart=0.02, patience=0.3)
KEEPER = """
import asyncio, sys
from pathlib import Path
from models_admin.servers.keeper import Keeper, Pauses

async def report(words):
    print(words[0].stage, flush=True)

pauses = Pauses(look=0.05, tell=0.2)
asyncio.run(Keeper(Path(sys.argv[1]), lambda *_: "a-key", path=sys.argv[2], pauses=pauses).run(report))
"""


class Host:
    """A machine on which `vllm` is a scripted program; `told` is the newest word that the site has heard."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.programs = folder / "servers", folder / "bin"
        self.programs.mkdir()
        vllm = self.programs / "vllm"
        words = [sys.executable, "-I", "-S", str(PROGRAM), str(self.programs)]
        code = f"import os, sys; os.execv({sys.executable!r}, {words!r} + sys.argv[1:])"
        vllm.write_text(f"#!{sys.executable} -IS\n{code}\n")
        vllm.chmod(0o755)
        self.port = free_port()
        self.told: ServerWord | None = None
        self.heard: list[ServerWord] = []
        self.reports = 0
        self.plays()

    def plays(self, **scenario: object) -> None:
        (self.programs / "scenario.json").write_text(json.dumps(scenario))

    def wants(self, attempt: int, **server: Any) -> bool:
        return note(self.folder, LaunchOrder(7, attempt, Server("vllm", "a/b", "r1", self.port, **server)))

    def wants_nothing(self, attempt: int) -> bool:
        return note(self.folder, LaunchOrder(7, attempt))

    @property
    def starts(self) -> list[dict[str, Any]]:
        path = self.programs / "starts.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def ends_heard(self) -> int:
        return [word.stage for word in self.heard].count("ended")

    async def report(self, words: list[ServerWord]) -> None:
        self.reports += 1
        if self.reports == 1:
            raise ConnectionError("the first word is always lost")
        for self.told in words:
            self.heard.append(self.told)

    @asynccontextmanager
    async def keeper(self, **options: Any) -> AsyncIterator[Keeper]:
        chosen: dict[str, Any] = {"path": str(self.programs), "pauses": QUICK, **options}
        keeper = Keeper(self.folder, lambda *_: KEY, **chosen)
        task = asyncio.create_task(keeper.run(self.report))
        try:
            yield keeper
        finally:
            await cancelled(task)

    def has_heard(self, **fields: object) -> bool:
        return any(getattr(word, name) == value for word in self.heard for name, value in fields.items())

    async def hears(self, stage: str, *, attempt: int, starts: int | None = None) -> ServerWord:
        def holds() -> bool:
            told = self.told and (self.told.stage, self.told.attempt) == (stage, attempt)
            return bool(told) and starts in (None, len(self.starts))

        await until_async(holds, f"{stage} at attempt {attempt}; heard {self.told}")
        assert self.told
        return self.told


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    is_clear = end_all(made.folder, patience=0.1)
    for start in made.starts:
        for pid in filter(None, (start["pid"], start["child"])):
            if runs(pid):
                os.kill(pid, signal.SIGKILL)
    assert is_clear
    assert {word.reason for word in made.heard} <= {"", *warm_words.reasons()}, "the site has a sentence for each"


@contextmanager
def other_process(*words: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    with process:
        try:
            yield process
        finally:
            process.kill()


def runs(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_server_is_launched_told_as_it_loads_and_ended(host: Host) -> None:
    shards = "Loading safetensors checkpoint shards:  {}% Completed\r"
    host.plays(lines=[f"settings: api_key='{KEY}'\n", shards.format(25), shards.format(62)], needs_go=True)
    host.wants(1, slots=4)
    async with host.keeper():
        await until_async(lambda: host.told and host.told.progress == 62, "progress from the log")
        loading = await host.hears("loading", attempt=1)
        assert "--max-num-seqs 4" in loading.log and KEY not in loading.log
        (host.programs / "go").touch()
        await host.hears("ready", attempt=1)
        (start,) = host.starts
        assert start["environment"]["VLLM_API_KEY"] == KEY
        assert os.getsid(start["pid"]) == start["pid"], "a group of its own, which a signal to ours does not reach"
        host.wants_nothing(2)
        await host.hears("ended", attempt=2)
        assert not runs(start["pid"])
        assert not host.wants(1), "a late message changes nothing"
        await until_async(lambda: host.ends_heard == TELL_END_TIMES, "the end is told a few times")

        def is_told_again() -> bool:
            return not host.wants_nothing(2) and host.ends_heard > TELL_END_TIMES

        await until_async(is_told_again, "who asks again is told again")
    assert len(host.starts) == 1


async def test_a_server_that_dies_is_begun_again_and_left_alone_after_five_deaths(host: Host) -> None:
    host.wants(1)
    async with host.keeper():
        await host.hears("ready", attempt=1, starts=1)
        os.kill(host.starts[0]["pid"], signal.SIGKILL)
        await host.hears("ready", attempt=1, starts=2)
        host.plays(lines=["torch.OutOfMemoryError: CUDA out of memory.\n"], exit_code=3)
        os.kill(host.starts[1]["pid"], signal.SIGKILL)
        word = await host.hears("quarantined", attempt=1, starts=5)
        assert (word.reason, word.detail) == (
            "out_of_memory", "exit code 3: torch.OutOfMemoryError: CUDA out of memory.",
        )  # fmt: skip
        assert any(word.reason == "server_died" and "signal 9" in word.detail for word in host.heard)
    host.told = None
    async with host.keeper():
        await host.hears("quarantined", attempt=1, starts=5)
        host.plays()
        host.wants(2)
        await host.hears("ready", attempt=2, starts=6)


async def test_a_deaf_server_and_what_it_began_are_ended_for_sure(host: Host) -> None:
    host.plays(is_deaf=True, has_child=True)
    host.wants(1)
    async with host.keeper():
        await host.hears("ready", attempt=1)
        host.wants(2)
        await host.hears("ready", attempt=2)
        first, second = host.starts
        assert not runs(first["pid"]) and not runs(first["child"])
        host.wants_nothing(3)
        await host.hears("ended", attempt=3)
        assert not runs(second["pid"]) and not runs(second["child"])


async def test_of_two_keepers_one_works_and_the_other_takes_its_servers_over(host: Host) -> None:
    host.wants(1)
    words = [sys.executable, "-c", KEEPER, str(host.folder), str(host.programs)]
    with other_process(*words) as first:
        assert first.stdout
        while await asyncio.to_thread(first.stdout.readline) != "ready\n":
            pass
        async with host.keeper():
            host.wants_nothing(0)
            first.kill()
            await host.hears("ready", attempt=1)
            (start,) = host.starts
            host.wants_nothing(2)
            await host.hears("ended", attempt=2)
            assert not runs(start["pid"])


async def test_a_server_whose_keeper_died_before_writing_it_down_does_not_stay_beside_the_next(host: Host) -> None:
    host.wants(1)
    async with host.keeper():
        await host.hears("ready", attempt=1)
    (start,) = host.starts
    assert runs(start["pid"]), "servers run on without a keeper"
    shutil.rmtree(host.folder / "records")
    async with host.keeper():
        await host.hears("ready", attempt=1, starts=2)
    assert not runs(start["pid"])


async def test_a_number_that_was_given_out_again_is_not_taken_for_the_server(host: Host) -> None:
    with other_process("sleep", "60") as other:
        host.wants(1)
        record = {"order": LaunchOrder(7, 1, Server("vllm", "a/b", "r1", host.port)), "pid": other.pid, "born": "x 1"}
        (host.folder / "records").mkdir(parents=True)
        (host.folder / "records" / "7.json").write_bytes(msgspec.json.encode(record))
        async with host.keeper():
            await host.hears("ready", attempt=1, starts=1)
        assert other.poll() is None


async def test_a_taken_port_is_told_and_tried_again(host: Host) -> None:
    patient = Pauses(look=0.05, tell=0.2, first_restart=0.1, longest_restart=0.1, failures=1000)
    with socket.create_server(("127.0.0.1", host.port)):
        host.wants(1)
        async with host.keeper(pauses=patient):
            await until_async(lambda: host.told and host.told.reason == "port_taken", "the port's reason")
            assert host.starts == []
    async with host.keeper(pauses=patient):
        await host.hears("ready", attempt=1)


async def test_a_load_may_take_long_but_not_in_silence(host: Host) -> None:
    seconds = 0.0
    host.plays(opens=False)
    host.wants(1)
    async with host.keeper(now=lambda: seconds):
        await host.hears("starting", attempt=1)
        for percent in (20, 40, 60):
            seconds += 599
            with (host.folder / "logs" / "7.log").open("a") as log:
                log.write(f"Loading safetensors checkpoint shards:  {percent}% Completed\r")
            await until_async(partial(host.has_heard, progress=percent), f"{percent} %")
        assert not host.has_heard(reason="server_silent")
        seconds += 601
        await until_async(partial(host.has_heard, reason="server_silent"), "the reason")


async def test_a_long_log_is_put_aside_while_its_server_writes_on(host: Host) -> None:
    log = host.folder / "logs" / "7.log"
    host.wants(1)
    async with host.keeper():
        await host.hears("ready", attempt=1)
        with log.open("ab") as file:
            file.write(b"x" * MAX_BYTES)
        await until_async(lambda: log.stat().st_size == 0, "a short log")
        with log.open("ab") as file:
            file.write(b"after it")
        await until_async(lambda: host.told and host.told.log == "after it", "the new log")
    older = log.with_suffix(".log.1")
    assert older.stat().st_size > MAX_BYTES and older.stat().st_mode & 0o077 == 0
    assert len(host.starts) == 1


async def test_an_order_that_cannot_be_is_refused_in_words_without_a_try(host: Host) -> None:
    host.wants(1, flags=(("--trust-remote-code", ""),))
    async with host.keeper():
        word = await host.hears("quarantined", attempt=1)
    assert word.reason == "launch_refused" and "would run code" in word.detail
    assert host.starts == []


async def test_a_site_that_ends_in_order_leaves_no_server_and_finds_its_wishes_again(host: Host) -> None:
    host.wants(1)
    async with host.keeper():
        await host.hears("ready", attempt=1)
        assert not await asyncio.to_thread(end_all, host.folder, seconds=0.2), "not beside a living keeper"
    assert await asyncio.to_thread(end_all, host.folder)
    assert not runs(host.starts[0]["pid"])
    host.told = None
    async with host.keeper():
        await host.hears("ready", attempt=1, starts=2)


async def test_the_built_in_llama_cpp_is_launched_asks_for_its_key_and_ends(host: Host) -> None:
    note(host.folder, LaunchOrder(7, 1, Server("llama.cpp", str(MODEL), "r1-tiny", host.port, context=512, slots=2)))

    def models(key: str) -> Any:
        url = f"http://127.0.0.1:{host.port}/v1/models"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)

    async with host.keeper():
        await host.hears("ready", attempt=1)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            await asyncio.to_thread(models, "another")
        listed = await asyncio.to_thread(models, KEY)
        assert [row["id"] for row in listed["data"]] == ["r1-tiny"]
        host.wants_nothing(2)
        await host.hears("ended", attempt=2)
        with socket.create_server(("127.0.0.1", host.port)):
            """The port is free again."""
