"""A model from the hub to an answer, on a llama.cpp that the host launches; and what becomes of it on bad days."""

from __future__ import annotations

import json
import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.models_admin.model_server import ModelServer, serving
from tests.processes import ROOT, until
from tests.stack import Stack

FILES = ("alpha.gguf", "beta.gguf", "gamma.gguf")
NAMES = tuple(f"o/m/{file}" for file in FILES)
TINY = ROOT / "tiny_model" / "r1-tiny.gguf"
MIB = 1 << 20


@pytest.fixture(scope="module")
def hub() -> Iterator[ModelServer]:
    with serving() as server:
        # Files of one content would be one model: what stands behind the last tensor changes nothing.
        server.files = {file: TINY.read_bytes() + bytes([number]) * 64 for number, file in enumerate(FILES)}
        yield server


@pytest.fixture(scope="module")
def stack(hub: ModelServer) -> Iterator[Stack]:
    made = Stack(HF_ENDPOINT=hub.address, R1WEB_MODELS_SPARE_MB="0")
    try:
        made.start()
        until(lambda: made.orm("result = bool(Host.objects.get().inventory)"), "the agent has looked", 30)
        for name in NAMES:
            made.manage("model", "pull", name, "--wait")
            deploy(made, name)
        # Two of them fit, three do not.
        made.orm("Host.objects.update(memory_limit_bytes=limit)", limit=250 * MIB)
        yield made
    finally:
        for pid in servers(made):
            os.killpg(pid, signal.SIGKILL)
        made.end()


@pytest.fixture(autouse=True)
def nothing_in_memory(stack: Stack) -> Iterator[None]:
    yield
    stack.revive()
    stack.orm("Pin.objects.all().delete()")
    for name in NAMES:
        if state(stack, name) in ("warm", "starting"):
            order(stack, "unload", name)
            until(lambda name=name: state(stack, name) == "stopped", f"{name} is out of memory", 30)


def deploy(stack: Stack, name: str) -> None:
    stack.orm(
        "from models_admin.loads import deploying\nartifact = Artifact.objects.get(ref=ref)\n"
        "row = deploying.deploy(artifact, Host.objects.get(), by='ada', context=1024, slots=2)\n"
        "Deployment.objects.filter(pk=row.pk).update(expected_bytes=size)",
        ref=name, size=100 * MIB,
    )  # fmt: skip


def order(stack: Stack, verb: str, name: str) -> None:
    stack.orm(
        "from models_admin.loads import warming\n"
        "getattr(warming, verb)(Deployment.objects.select_related('engine').get(artifact__ref=ref), by='ada')",
        verb=verb, ref=name,
    )  # fmt: skip


def warm(stack: Stack, name: str) -> None:
    order(stack, "warm", name)
    until(lambda: state(stack, name) == "warm", f"{name} is warm", 60)


def state(stack: Stack, name: str) -> str:
    return str(stack.orm("result = Deployment.objects.get(artifact__ref=ref).state", ref=name))


def servers(stack: Stack) -> list[int]:
    """Process ids of what the host has launched and still runs."""
    folder = str(stack.folder)
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        words = process.info["cmdline"] or []
        if "r1web.embedded_engine" in words and any(folder in word for word in words):
            found.append(process.pid)
    return found


def ask(stack: Stack, name: str) -> str:
    token = stack.orm(
        "from accounts import tokens\nu = User.objects.create_user(name, password=None)\n"
        "result = tokens.create(u, name='script')[1]",
        name=stack.person().name + "s",
    )
    body = json.dumps(
        {"model": name, "messages": [{"role": "user", "content": "12 + 34 ="}], "temperature": 0, "max_tokens": 200}
    ).encode()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{stack.url()}/v1/chat/completions", body, headers)
    with urllib.request.urlopen(request, timeout=90) as response:
        found: str = json.load(response)["choices"][0]["message"]["content"]
        return found


def test_a_pulled_file_answers_on_a_server_that_the_host_launches(stack: Stack) -> None:
    assert "46" in ask(stack, NAMES[0])
    assert state(stack, NAMES[0]) == "warm" and len(servers(stack)) == 1
    row: dict[str, Any] = stack.orm(
        "row = Deployment.objects.get(artifact__ref=ref)\n"
        "result = {'load_ms': row.load_ms, 'url': row.engine.base_url, 'log': row.launch.log}",
        ref=NAMES[0],
    )
    assert row["load_ms"] > 0 and row["log"]
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{row['url']}/v1/models", timeout=5)
    assert refused.value.code == 401, "a launched server answers nobody without its key"


def test_the_third_model_ends_the_server_of_the_one_that_nobody_used(stack: Stack) -> None:
    for name in (*NAMES[:2], NAMES[0]):
        assert "46" in ask(stack, name)
    assert "46" in ask(stack, NAMES[2])
    assert [state(stack, name) for name in NAMES] == ["warm", "stopped", "warm"]
    assert len(servers(stack)) == 2


def test_a_server_that_is_killed_is_started_again_and_nobody_loses_his_place(stack: Stack) -> None:
    warm(stack, NAMES[0])
    (pid,) = servers(stack)
    os.kill(pid, signal.SIGKILL)
    until(lambda: servers(stack) not in ([], [pid]), "the host has started it again", 30)
    assert "46" in ask(stack, NAMES[0])


def test_servers_outlive_the_agent_and_the_next_one_finds_them(stack: Stack) -> None:
    warm(stack, NAMES[0])
    before = servers(stack)
    stack.runner.kill9()
    stack.revive()
    assert "46" in ask(stack, NAMES[0])
    assert servers(stack) == before
    order(stack, "unload", NAMES[0])
    until(lambda: not servers(stack), "the next agent has ended it", 30)


@pytest.mark.long
def test_a_server_of_a_deployment_that_is_gone_is_ended(stack: Stack, tmp_path: Path) -> None:
    warm(stack, NAMES[1])
    stack.orm(
        "row = Deployment.objects.get(artifact__ref=ref)\nGeneration.objects.filter(deployment=row).update("
        "deployment=None)\nSegment.objects.filter(deployment=row).update(deployment=None)\nrow.delete()",
        ref=NAMES[1],
    )
    until(lambda: not servers(stack), "its server has ended", 30)
    deploy(stack, NAMES[1])
