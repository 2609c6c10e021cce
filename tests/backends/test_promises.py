"""What every driver promises, held against every engine."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from models_admin.backends.base import (
    BackendError,
    BadRequest,
    ContextTooLong,
    Delta,
    Driver,
    Endpoint,
    ModelMissing,
    Unreachable,
    WrongKey,
)
from models_admin.backends.drivers import make_driver, open_driver
from tests.backends.asking import asking, collect, long_question, question, text_of, until
from tests.running_engines import RunningEngine, free_port


async def test_thinking_comes_apart_from_the_answer(engine: RunningEngine, driver: Driver) -> None:
    deltas, _ = await collect(driver, asking(engine, question(engine)))
    thinking, answer = text_of(deltas, "thinking"), text_of(deltas, "answer")
    assert thinking.startswith("Step by step: 12+34" if engine.log is None else "t0001 t0002")
    assert answer == ("12 + 34 = **46**" if engine.log is None else " ".join(f"t{n:04d}" for n in range(101, 109)))
    kinds = [delta.kind for delta in deltas]
    assert kinds == sorted(kinds, reverse=True), "thinking ends before the answer begins"


async def test_thinking_and_answer_tokens_add_up_to_what_the_engine_wrote(
    engine: RunningEngine, driver: Driver
) -> None:
    text = question(engine)
    deltas, finish = await collect(driver, asking(engine, text))
    told = engine.get(
        "/v1/chat/completions",
        {"model": engine.model, "temperature": 0, "messages": [{"role": "user", "content": text}]},
    )["usage"]
    assert finish.usage.thinking_tokens + finish.usage.answer_tokens == told["completion_tokens"]
    assert finish.usage.prompt_tokens == told["prompt_tokens"]
    assert 0 < finish.usage.answer_tokens < finish.usage.thinking_tokens
    assert 0 < sum(delta.tokens for delta in deltas) <= told["completion_tokens"]
    assert finish.reason == "stop"


async def test_an_answer_that_reaches_its_limit_says_so(engine: RunningEngine, driver: Driver) -> None:
    _, finish = await collect(driver, asking(engine, long_question(engine), max_tokens=7))
    assert finish.reason == "length"
    assert finish.usage.thinking_tokens + finish.usage.answer_tokens == 7


async def test_closing_an_answer_frees_the_slot(engine: RunningEngine, driver: Driver) -> None:
    answer = driver.chat(asking(engine, long_question(engine)))
    assert isinstance(await anext(answer), Delta)
    await answer.aclose()
    await until(lambda: _all_free(engine))


async def test_cancelling_the_reader_frees_the_slot(engine: RunningEngine, driver: Driver) -> None:
    has_begun = asyncio.Event()

    async def read() -> None:
        async for _ in driver.chat(asking(engine, long_question(engine))):
            has_begun.set()
            await asyncio.sleep(60)  # a reader that waits: the answer is open when the cancelling comes

    reader = asyncio.create_task(read())
    await asyncio.wait_for(has_begun.wait(), 10)
    reader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reader
    await until(lambda: _all_free(engine))


async def test_a_wrong_key_is_told_as_such(engine: RunningEngine) -> None:
    async with open_driver(replace(engine.endpoint, key="wrong")) as driver:
        with pytest.raises(WrongKey):
            await collect(driver, asking(engine, question(engine)))


@pytest.mark.parametrize("kind", ["llama.cpp", "openai-compatible"])
@pytest.mark.parametrize("host", ["127.0.0.1", "no-such-host.invalid"])
async def test_an_engine_that_is_not_there_is_unreachable(kind: str, host: str, llama: RunningEngine) -> None:
    async with open_driver(Endpoint(f"http://{host}:{free_port()}", "", kind)) as driver:
        with pytest.raises(Unreachable) as told:
            await collect(driver, asking(llama, "hi"))
        health = await driver.health()
    assert (told.value.code, told.value.retryable) == ("engine_unreachable", True)
    assert not health.is_ready
    assert health.detail == "engine_unreachable"


@pytest.mark.parametrize("url", ["", "ftp://engine", "http://", "http://a b", "http://[::1"])
async def test_what_is_no_address_is_refused_as_our_error(url: str, llama: RunningEngine) -> None:
    with pytest.raises(BackendError):
        async with open_driver(Endpoint(url)) as driver:
            await collect(driver, asking(llama, "hi"))


async def test_a_prompt_too_long_tells_the_limit(engine: RunningEngine, driver: Driver) -> None:
    text = "12+34 " * 2000 if engine.log is None else "overflow"
    with pytest.raises(ContextTooLong) as told:
        await collect(driver, asking(engine, text))
    assert told.value.limit == (2048 if engine.log is None else 1_000_000)
    assert told.value.asked is not None
    assert told.value.asked > told.value.limit


async def test_a_model_that_is_not_served_is_missing(engine: RunningEngine, driver: Driver) -> None:
    with pytest.raises(ModelMissing):
        await collect(driver, asking(engine, "hi", model="no-such-model"))


async def test_an_engine_that_answers_under_any_name_is_asked_what_it_serves(llama: RunningEngine) -> None:
    async with open_driver(replace(llama.endpoint, kind="openai-compatible")) as driver:
        with pytest.raises(ModelMissing):
            await collect(driver, asking(llama, "hi", model="no-such-model"))
        name = (await driver.models())[0].name
        _, finish = await collect(driver, asking(llama, "hi", model=name, max_tokens=3))
    assert finish.reason == "length"


@pytest.mark.parametrize("text", ["a\0b", "lone \ud800 surrogate", "\udfff", "{" * 5, "</think>", "<script>", " "])
async def test_odd_text_is_answered(engine: RunningEngine, driver: Driver, text: str) -> None:
    _, finish = await collect(driver, asking(engine, text + " say 2+2", max_tokens=4))
    assert finish.usage.prompt_tokens > 0


async def test_a_hundred_thousand_brackets_are_answered_or_too_long(engine: RunningEngine, driver: Driver) -> None:
    try:
        _, finish = await collect(driver, asking(engine, "[" * 100_000, max_tokens=4))
    except ContextTooLong as error:
        assert error.limit == 2048
    else:
        assert finish.reason == "length"


async def test_answers_follow_each_other_without_a_lost_request(engine: RunningEngine, driver: Driver) -> None:
    for _ in range(30):
        _, finish = await collect(driver, asking(engine, question(engine), max_tokens=2))
        assert finish.reason == "length"


async def test_health_and_models_and_facts_are_read(engine: RunningEngine, driver: Driver) -> None:
    assert (await driver.health()).is_ready
    assert engine.model in (await driver.models())[0].name
    assert (await driver.facts()).context_tokens == (2048 if engine.log is None else 1_000_000)


async def test_an_engine_of_unknown_kind_has_no_driver() -> None:
    with pytest.raises(BadRequest):
        make_driver(Endpoint("http://127.0.0.1:1", "", "steam"))


async def _all_free(engine: RunningEngine) -> bool:
    slots: list[dict[str, Any]] = await asyncio.to_thread(engine.get, "/slots")
    return not any(slot["is_processing"] for slot in slots)
