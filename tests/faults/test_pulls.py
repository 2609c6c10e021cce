"""Pulls through the whole site while its processes die, servers lie and disks fill up."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.models_admin.model_server import ModelServer, content, serving
from tests.processes import ROOT, until
from tests.stack import Stack

SIZE = 40_000_000
HALF = 21_000_000


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def pulling_stack(hub: ModelServer) -> Iterator[Stack]:
    made = Stack(HF_ENDPOINT=hub.address, HF_TOKEN="hf_secret", R1WEB_MODELS_SPARE_MB="0")
    try:
        yield made.start()
    finally:
        hub.let_go.set()
        made.end()


@pytest.fixture
def stack(pulling_stack: Stack, hub: ModelServer) -> Iterator[Stack]:
    yield pulling_stack
    hub.let_go.set()
    pulling_stack.revive()


@pytest.fixture
def name(hub: ModelServer, request: pytest.FixtureRequest) -> str:
    """A model of this test alone; the hub gives half of it and then waits."""
    file = f"m{hashlib.sha256(request.node.name.encode()).hexdigest()[:8]}.gguf"
    hub.files = {file: content(SIZE)}
    hub.holds_at, hub.cuts_after, hub.knows_ranges = HALF, 0, True
    hub.let_go.clear()
    hub.asked.clear()
    return f"o/m/{file}"


def test_a_runner_killed_in_mid_pull_goes_on_from_the_bytes_at_hand(stack: Stack, hub: ModelServer, name: str) -> None:
    stack.manage("model", "pull", name)
    _until_half(stack, name)
    stack.runner.kill9()
    hub.let_go.set()
    assert not _ready(stack, name)
    stack.runner.start()
    until(lambda: _job(stack, name)["state"] == "done", "it ends", 90)
    assert _job(stack, name)["attempt"] > 1
    assert Path(_path(stack, name)).read_bytes() == content(SIZE)
    first, *later = hub.ranges(name.rsplit("/", 1)[-1])
    assert first == "" and later and all(asked.startswith("bytes=") and asked != "bytes=0-" for asked in later)
    assert _ready(stack, name)


def test_a_runner_that_is_stopped_hands_its_pull_on(stack: Stack, hub: ModelServer, name: str) -> None:
    stack.manage("model", "pull", name)
    _until_half(stack, name)
    other = stack.add_runner()
    stack.runner.terminate()
    hub.let_go.set()
    until(lambda: _job(stack, name)["state"] == "done", "the other one ends it", 90)
    assert other.is_alive
    assert Path(_path(stack, name)).read_bytes() == content(SIZE)


def test_a_cancellation_at_the_last_bytes_leaves_nothing(stack: Stack, hub: ModelServer, name: str) -> None:
    hub.holds_at = SIZE - 100_000
    stack.manage("model", "pull", name)
    until(lambda: _job(stack, name)["done_bytes"] > SIZE * 0.9, "almost all came", 60)
    stack.manage("model", "cancel", name)
    hub.let_go.set()
    until(lambda: not _left(stack, name), "nothing of it lies there")
    assert (_job(stack, name)["state"], _ready(stack, name)) == ("cancelled", False)
    stack.manage("model", "retry", name)
    until(lambda: _job(stack, name)["state"] == "done", "asked for again it comes", 60)


def test_a_paused_pull_keeps_its_bytes_and_goes_on(stack: Stack, hub: ModelServer, name: str) -> None:
    stack.manage("model", "pull", name)
    _until_half(stack, name)
    stack.manage("model", "pause", name)
    until(lambda: _is_at_rest(stack), "it rests")
    hub.let_go.set()
    assert _job(stack, name)["state"] == "paused"
    stack.manage("model", "resume", name)
    until(lambda: _job(stack, name)["state"] == "done", "it ends", 60)
    assert hub.ranges(name.rsplit("/", 1)[-1])[-1].startswith("bytes=")


def test_a_pull_goes_on_while_redis_is_away(stack: Stack, hub: ModelServer, name: str) -> None:
    stack.manage("model", "pull", name)
    _until_half(stack, name)
    stack.redis.kill9()
    hub.let_go.set()
    until(lambda: _left(stack, name) == [SIZE], "it comes all the same", 60)
    stack.redis.start()
    until(lambda: _job(stack, name)["state"] == "done", "the site hears of it", 90)
    assert len(hub.ranges(name.rsplit("/", 1)[-1])) == 1, "nothing was loaded twice"


def test_another_file_than_the_pinned_one_is_never_ready(stack: Stack, hub: ModelServer, name: str) -> None:
    file = name.rsplit("/", 1)[-1]
    stack.manage("add_model", name)
    pinned, kept = hub.listing(), ModelServer.listing
    hub.files[file] = content(SIZE)[:-1] + b"!"
    hub.let_go.set()
    try:
        hub.listing = lambda: pinned  # type: ignore[method-assign]
        words = [sys.executable, "manage.py", "model", "pull", name, "--wait"]
        done = subprocess.run(words, cwd=ROOT, env=stack.environment, capture_output=True, text=True, timeout=90)
    finally:
        hub.listing = kept.__get__(hub)  # type: ignore[method-assign]
    assert (done.returncode, "What came is not what was pinned" in done.stderr) == (1, True)
    job = _job(stack, name)
    assert (job["state"], job["reason"], _ready(stack, name)) == ("failed", "digest_differs", False)
    assert _left(stack, name) == []


def test_scripts_are_told_in_one_object(stack: Stack, hub: ModelServer, name: str) -> None:
    hub.let_go.set()
    told = json.loads(stack.manage("model", "pull", name, "--wait", "--json"))
    assert (told["state"], told["done_bytes"], told["total_bytes"]) == ("done", SIZE, SIZE)
    assert told["path"].endswith(".gguf")


def test_a_terminal_shows_one_line_that_moves(stack: Stack, hub: ModelServer, name: str) -> None:
    screen, theirs = pty.openpty()
    words = [sys.executable, "manage.py", "model", "pull", name, "--wait"]
    with subprocess.Popen(words, cwd=ROOT, env=stack.environment, stdout=theirs, stderr=theirs) as running:
        os.close(theirs)
        _until_asked(stack, name)
        _until_half(stack, name)
        reading, shown = _read(screen), ""
        while not re.search(r"\rrunning: loading · 2\d\.\d MB / 40\.0 MB \(5\d %\)", shown):
            shown += next(reading)  # it waits at half until the screen has shown it
        hub.let_go.set()
        shown += "".join(reading)
        assert running.wait(30) == 0
    assert shown.rstrip().endswith("done.")


def test_the_token_is_in_no_message_and_no_log(stack: Stack, hub: ModelServer, name: str) -> None:
    hub.let_go.set()
    stack.manage("model", "pull", name, "--wait")
    assert set(hub.keys) == {"Bearer hf_secret"}
    kept = [path for path in stack.folder.rglob("*") if path.is_file() and path.suffix in {".log", ".aof"}]
    assert any(b"models_admin.pull" in path.read_bytes() for path in kept)
    assert not [path for path in kept if b"hf_secret" in path.read_bytes()]


def _job(stack: Stack, name: str) -> dict[str, Any]:
    code = "j = PullJob.objects.filter(stored__artifact__ref=name).latest('pk'); result = {k: getattr(j, k) for k in f}"
    fields = ["state", "attempt", "done_bytes", "reason", "detail"]
    found: dict[str, Any] = stack.orm(code, name=name, f=fields)
    return found


def _ready(stack: Stack, name: str) -> bool:
    return bool(stack.orm("result = StoredArtifact.objects.filter(artifact__ref=n, state='ready').exists()", n=name))


def _path(stack: Stack, name: str) -> str:
    return str(stack.orm("result = StoredArtifact.objects.get(artifact__ref=n).path", n=name))


def _left(stack: Stack, name: str) -> list[int]:
    """Sizes of what lies on the disk of a model, whole or in part."""
    file = name.rsplit("/", 1)[-1]
    return [path.stat().st_size for path in (stack.folder / "models").rglob(f"{file}*") if path.is_file()]


def _until_half(stack: Stack, name: str) -> None:
    until(lambda: _job(stack, name)["done_bytes"] >= HALF - 5_000_000, "half of it came", 60)
    assert _job(stack, name)["state"] == "running"


def _is_at_rest(stack: Stack) -> bool:
    """Whether nobody holds the lock of any files."""
    for path in (stack.folder / "models" / ".pulls").glob("*.lock"):
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
    return True


def _until_asked(stack: Stack, name: str) -> None:
    code = "result = PullJob.objects.filter(stored__artifact__ref=n).exists()"
    until(lambda: stack.orm(code, n=name), "it is asked for", 60)


def _read(screen: int) -> Iterator[str]:
    """What a program writes to a terminal, to its end."""
    try:
        while written := os.read(screen, 4096):
            yield written.decode()
    except OSError:  # so Linux tells that nobody writes any more
        return
    finally:
        os.close(screen)
