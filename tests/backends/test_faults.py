"""Engines on their bad days: death, silence, refusal, garbage; and what must not be lost meanwhile."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from models_admin.backends.base import BackendError, BrokeOff, Delta, Driver, Finish, Limits, Overloaded, Unreachable
from models_admin.backends.drivers import open_driver
from tests import running_engines, scripted_text
from tests.backends.asking import asking, collect, text_of, until
from tests.running_engines import RunningEngine


async def read_until_failure(driver: Driver, engine: RunningEngine, text: str) -> tuple[list[Delta], BackendError]:
    deltas: list[Delta] = []
    with pytest.raises(BackendError) as told:
        async for item in driver.chat(asking(engine, text)):
            assert isinstance(item, Delta)
            deltas.append(item)
    return deltas, told.value


@pytest.mark.parametrize("fault", ["die_after", "end_after", "error_after", "nested_after"])
async def test_an_answer_that_breaks_off_keeps_every_token_before(
    script: RunningEngine, script_driver: Driver, fault: str
) -> None:
    deltas, error = await read_until_failure(script_driver, script, f"say 5+50 {fault}=12")
    assert isinstance(error, BrokeOff)
    assert text_of(deltas, "thinking") == "t0001 t0002 t0003 t0004 t0005"
    assert text_of(deltas, "answer") == "t0101 t0102 t0103 t0104 t0105 t0106 t0107"


@pytest.mark.parametrize("fault", ["die_after", "end_after", "error_after"])
async def test_a_death_before_the_first_token_may_be_tried_elsewhere(
    script: RunningEngine, script_driver: Driver, fault: str
) -> None:
    deltas, error = await read_until_failure(script_driver, script, f"say 5+50 {fault}=0")
    assert not deltas
    assert isinstance(error, Unreachable)


async def test_a_killed_llama_cpp_breaks_off_and_is_unreachable_after(tmp_path: Path) -> None:
    with running_engines.llama_cpp(tmp_path) as engine:
        async with open_driver(engine.endpoint) as driver:
            answer = driver.chat(asking(engine, "Count from 1 to 100"))
            await anext(answer)
            engine.process.send_signal(signal.SIGSTOP)  # or it would be done before the kill
            engine.process.kill()
            with pytest.raises(BrokeOff):
                async for _ in answer:
                    pass
            with pytest.raises(Unreachable):
                await collect(driver, asking(engine, "hi"))


async def test_silence_in_an_answer_breaks_it_off_and_closes_the_connection(script: RunningEngine) -> None:
    text = f"say 5+50 hang_after=8 {script.endpoint.kind} silence"
    async with open_driver(replace(script.endpoint, limits=Limits(silence=0.3))) as driver:
        deltas, error = await read_until_failure(driver, script, text)
    assert isinstance(error, BrokeOff)
    assert sum(delta.tokens for delta in deltas) == 8
    await until(lambda: _closed(script, text, "client_closed"))


async def test_silence_before_the_first_token_has_a_limit_of_its_own(script: RunningEngine) -> None:
    patient, hasty = Limits(first_token=20, silence=0.3), Limits(first_token=0.3, silence=20)
    async with open_driver(replace(script.endpoint, limits=patient)) as driver:
        await collect(driver, asking(script, "say 1+1 slow_first=0.8"))
    async with open_driver(replace(script.endpoint, limits=hasty)) as driver:
        _, error = await read_until_failure(driver, script, "say 1+1 slow_first=5")
    assert isinstance(error, Unreachable)


async def test_a_reader_that_dawdles_is_not_mistaken_for_a_silent_engine(script: RunningEngine) -> None:
    async with open_driver(replace(script.endpoint, limits=Limits(silence=1.2))) as driver:
        answer = driver.chat(asking(script, "say 0+2 pace=0.5"))
        await anext(answer)
        await asyncio.sleep(1.5)  # the reader's own time; then it waits half a second for the engine
        rest = [item async for item in answer]
    assert isinstance(rest[-1], Finish)


async def test_a_full_engine_tells_when_to_come_back(script: RunningEngine, script_driver: Driver) -> None:
    _, error = await read_until_failure(script_driver, script, "error=429 retry_after=2")
    assert isinstance(error, Overloaded)
    assert (error.code, error.retryable, error.retry_after) == ("engine_overloaded", True, 2.0)


async def test_an_engine_that_is_loading_is_overloaded_not_gone(script: RunningEngine, script_driver: Driver) -> None:
    _, error = await read_until_failure(script_driver, script, "error=503")
    assert isinstance(error, Overloaded)


async def test_a_flood_arrives_whole(script: RunningEngine, script_driver: Driver) -> None:
    text = "say 2+2 big=5000000"
    deltas, _ = await collect(script_driver, asking(script, text))
    assert text_of(deltas, "answer") == scripted_text.read(text).answer_text


async def test_more_streams_than_a_default_connection_pool_all_arrive(
    script: RunningEngine, script_driver: Driver
) -> None:
    answers = await asyncio.gather(*(collect(script_driver, asking(script, "say 10+20")) for _ in range(150)))
    expected = scripted_text.read("say 10+20")
    assert {text_of(deltas, "answer") for deltas, _ in answers} == {expected.answer_text}
    assert {text_of(deltas, "thinking") for deltas, _ in answers} == {expected.thinking_text}


async def test_more_streams_than_a_default_connection_pool_are_open_at_once(
    script: RunningEngine, script_driver: Driver
) -> None:
    answers = [script_driver.chat(asking(script, "say 100+900 pace=20")) for _ in range(150)]
    async with asyncio.timeout(30):  # each of them lasts 50 s
        await asyncio.gather(*(anext(answer) for answer in answers))
    await asyncio.gather(*(answer.aclose() for answer in answers))


async def test_closing_tells_the_engine_before_it_has_written_everything(
    script: RunningEngine, script_driver: Driver
) -> None:
    text = f"say 100+900 {script.endpoint.kind} closed early"
    answer = script_driver.chat(asking(script, text))
    await anext(answer)
    await answer.aclose()
    await until(lambda: _closed(script, text, "client_closed"))


async def test_llama_cpp_is_always_given_a_limit(scripted_llama: RunningEngine) -> None:
    async with open_driver(scripted_llama.endpoint) as driver:
        await collect(driver, asking(scripted_llama, "say 1+1 without a limit"))
    starts = [row for row in scripted_llama.entries() if row.get("user") == "say 1+1 without a limit"]
    assert [row["max_tokens"] for row in starts] == [1_000_000]


async def test_a_closed_empty_thought_switches_thinking_off(llama: RunningEngine) -> None:
    async with open_driver(llama.endpoint) as driver:
        deltas, finish = await collect(driver, asking(llama, "12+34=?", think="off", max_tokens=20))
    assert {delta.kind for delta in deltas} == {"answer"}
    assert finish.usage.thinking_tokens == 0


@pytest.mark.parametrize("how", ["bare", "tags"])
async def test_thinking_left_in_the_text_is_told_apart(compatible: RunningEngine, how: str) -> None:
    text = f"say 12+8 {how}"
    async with open_driver(compatible.endpoint) as driver:
        deltas, finish = await collect(driver, asking(compatible, text, think="on" if how == "bare" else "auto"))
    assert text_of(deltas, "thinking") == scripted_text.read(text).thinking_text
    assert text_of(deltas, "answer") == scripted_text.read(text).answer_text
    assert finish.usage.thinking_tokens > finish.usage.answer_tokens > 0


async def test_a_model_that_turns_out_not_to_think_is_believed(compatible: RunningEngine) -> None:
    async with open_driver(compatible.endpoint) as driver:
        await collect(driver, asking(compatible, "say 0+8", think="on"))
        deltas, _ = await collect(driver, asking(compatible, "say 0+8", think="on"))
    assert {delta.kind for delta in deltas} == {"answer"}


async def _closed(engine: RunningEngine, text: str, reason: str) -> bool:
    entries = engine.entries()
    numbers = {row["id"] for row in entries if row.get("user") == text}
    closes = [row for row in entries if row["event"] == "close" and row["id"] in numbers]
    return bool(closes) and all(row["reason"] == reason and row["tokens"] < row["of"] for row in closes)
