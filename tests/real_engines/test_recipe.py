"""Real vLLM and SGLang run here as they do elsewhere: what the drivers build on, seen at the engines themselves."""

from __future__ import annotations

import urllib.error
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest

from models_admin.backends.base import Driver, ModelMissing, WrongKey
from models_admin.backends.drivers import open_driver
from tests import running_engines
from tests.backends.asking import asking, collect, text_of
from tests.real_engines.plugin import ENGINES
from tests.running_engines import RunningEngine

QUESTION, THINKING, ANSWER = "37*24", "Step by step: 37*24.", "37 × 24 = **888**"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    found: RunningEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def driver(engine: RunningEngine) -> AsyncIterator[Driver]:
    async with open_driver(engine.endpoint) as opened:
        yield opened


def question(model: str) -> dict[str, object]:
    return {"model": model, "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}


async def test_thinking_comes_apart_from_the_answer(engine: RunningEngine, driver: Driver) -> None:
    deltas, finish = await collect(driver, asking(engine, QUESTION))
    assert text_of(deltas, "thinking").startswith(THINKING)
    assert text_of(deltas, "answer") == ANSWER
    assert (finish.reason, finish.usage.prompt_tokens) == ("stop", 10)
    assert finish.usage.thinking_tokens > finish.usage.answer_tokens > 0


async def test_a_model_that_is_not_served_is_missing(engine: RunningEngine, driver: Driver) -> None:
    with pytest.raises(ModelMissing):
        await collect(driver, asking(engine, QUESTION, model="no-such-model"))


async def test_a_wrong_key_is_told_as_such(engine: RunningEngine) -> None:
    async with open_driver(replace(engine.endpoint, key="wrong")) as driver:
        with pytest.raises(WrongKey):
            await collect(driver, asking(engine, QUESTION))


def test_the_model_is_listed_with_its_context(engine: RunningEngine) -> None:
    (row,) = engine.get("/v1/models")["data"]
    assert (row["id"], row["max_model_len"], row["owned_by"]) == ("r1-tiny", 2048, engine.endpoint.kind)


def test_vllm_refuses_a_wrong_name_itself(vllm: RunningEngine) -> None:
    with pytest.raises(urllib.error.HTTPError) as told:
        vllm.get("/v1/chat/completions", question("no-such-model"))
    assert told.value.code == 404


def test_sglang_answers_under_any_name(sglang: RunningEngine) -> None:
    said = sglang.get("/v1/chat/completions", question("no-such-model"))
    assert said["model"] == "no-such-model"
    assert said["choices"][0]["message"]["content"].strip() == ANSWER


@pytest.mark.parametrize("engine", ENGINES)  # the name, not the shared engine: this one is started and ended here
def test_an_engine_that_has_ended_leaves_nothing_behind(engine: str, tmp_path: Path) -> None:
    with getattr(running_engines, engine)(tmp_path) as running:
        leader = psutil.Process(running.process.pid)
        family = [leader, *leader.children(recursive=True)]
        paths = {file.path for each in family for file in each.open_files() if file.path.startswith("/dev/shm/")}
        paths.add(leader.cwd())
        assert len(family) > 2
    assert [each for each in family if each.is_running()] == []
    assert [path for path in paths if Path(path).exists()] == []
