"""Short questions on an engine's bad days: whatever it answers, a driver returns or raises its own error, soon."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models_admin.backends.base import BackendError, BadRequest, BrokeOff, Driver, Endpoint, Limits, Loads, Pulls
from models_admin.backends.drivers import DRIVERS, open_driver
from tests.backends.test_parsers import JSON
from tests.backends.wires import CHAT, COMPLETION, LIMITS, NDJSON, OLLAMA, hear, heard_of, line
from tests.raw_engine import LAST_CHUNK, RESET, STALL, Again, Pause, Step, chunk, opening, raw_engine, response

DEADLINE_SECONDS = 30


async def _pulled(driver: Driver) -> None:
    assert isinstance(driver, Pulls)
    async for _ in driver.pull("m"):
        pass


async def _loaded(driver: Driver) -> None:
    assert isinstance(driver, Loads)
    await driver.load("m", context_tokens=4096, keep_seconds=60)


async def _heard(driver: Driver) -> None:
    for request in (CHAT.request(), COMPLETION.request()):
        async for _ in driver.chat(request):
            pass


ALL: dict[str, Callable[[Driver], Any]] = {
    "health": lambda d: d.health(),
    "facts": lambda d: d.facts(),
    "models": lambda d: d.models(),
    "inspect": lambda d: d.inspect("m"),
    "loaded": lambda d: d.loaded(),
    "count_prompt": lambda d: d.count_prompt(CHAT.request()),
    "chat": _heard,
}
OF_OLLAMA = {"load": _loaded, "pull": _pulled, "unload": lambda d: d.unload("m")}

ANSWERS: dict[str, list[Step]] = {
    "garbage": [b"\x00\xff\r\n\r\n"],
    "nothing": [b""],
    "reset": [RESET],
    "web page": [response(b"<html></html>", kind="text/html")],
    "empty": [response(b"")],
    "list": [response(b"[1, null, {}]")],
    "number": [response(b"7")],
    "null": [response(b"null")],
    "nested": [response(b"[" * 100_000)],
    "huge number": [response(b'{"total_slots":1' + b"0" * 5000 + b"}")],
    "not a number": [response(b'{"total_slots":NaN}')],
    "twice": [response(b'{"data":[],"data":[{"id":"m","id":7}],"models":3}')],
    "bad UTF-8": [response(b'{"data":[{"id":"\xff"}]}')],
    "lone surrogate": [response(b'{"data":[{"id":"\\ud800"}]}')],
    "error": [response(b'{"error":"boom"}')],
    "no content": [b"HTTP/1.1 204 No\r\n\r\n"],
    "part": [response(b"{}", status=206)],
    "redirect": [response(b"", status=301, headers=b"Location: http://169.254.169.254/\r\n")],
    "packed": [response(gzip.compress(b"{}" * 1000), headers=b"Content-Encoding: gzip\r\n")],
    "short": [response(b'{"data":[', length=5000)],
    "bad chunk": [opening(chunked=True) + b"zz\r\n{}"],
    "endless": [opening(kind="application/json"), Again(b"[" * 65536)],
    "endless headers": [b"HTTP/1.1 200 OK\r\n", Again(b"a: b\r\n" * 1000)],
    "rows": [response(b'{"data":[1,null,{"id":null},{"id":"m","max_model_len":-1,"meta":7}],"loads":{},"models":[3]}')],
    "odd": [response(b'{"loads":[{"memory":[1]}],"tokens":[-1,1e3],"prompt":3,"details":[],"capabilities":{}}')],
}


async def _ask_everything(driver: Driver) -> None:
    asks = {**ALL, **(OF_OLLAMA if isinstance(driver, Pulls) else {})}

    async def ask_one(ask: Callable[[Driver], Any]) -> None:
        with suppress(BackendError):
            await ask(driver)

    async with asyncio.timeout(DEADLINE_SECONDS):
        await asyncio.gather(*map(ask_one, asks.values()))


@pytest.mark.parametrize("kind", DRIVERS)
@pytest.mark.parametrize("case", ANSWERS)
async def test_no_driver_raises_anything_but_its_own_error(kind: str, case: str) -> None:
    async with (
        raw_engine({"*": ANSWERS[case]}) as engine,
        open_driver(Endpoint(engine.url, "", kind, Limits(question=20, load=0.5))) as driver,
    ):
        await _ask_everything(driver)


@pytest.mark.parametrize("kind", DRIVERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_json_is_borne_in_any_field(kind: str, data: st.DataObject) -> None:
    names = ("data", "models", "loads", "tokens", "prompt", "version", "details", "model_info", "capabilities")
    names += ("total_slots", "default_generation_settings", "balance_infos", "input_tokens", "build_info", "memory")
    row = st.fixed_dictionaries(
        {}, optional=dict.fromkeys(("id", "name", "max_model_len", "meta", "size", "memory"), JSON)
    )
    answer = data.draw(st.fixed_dictionaries({}, optional={name: JSON | st.lists(row, max_size=2) for name in names}))

    async def ask() -> None:
        async with (
            raw_engine({"*": (response(line(answer)),)}) as engine,
            open_driver(Endpoint(engine.url, "", kind, Limits(load=0.2))) as driver,
        ):
            await _ask_everything(driver)

    asyncio.run(ask())


@pytest.mark.parametrize("kind", DRIVERS)
async def test_an_engine_that_says_nothing_is_given_up(kind: str) -> None:
    limits = Limits(question=0.2, first_token=0.2, silence=60, load=0.2)
    for steps in ([STALL], [opening(kind="application/json", chunked=True) + chunk(b"{"), STALL]):
        async with raw_engine({"*": steps}) as engine, open_driver(Endpoint(engine.url, "", kind, limits)) as driver:
            await _ask_everything(driver)
            assert not (await driver.health()).is_ready


@pytest.mark.parametrize("kind", DRIVERS)
async def test_an_endless_or_packed_answer_does_not_eat_the_memory(kind: str) -> None:
    packed = response(gzip.compress(b"[" * 100_000_000), headers=b"Content-Encoding: gzip\r\n")
    for steps in ([packed], ANSWERS["endless"]):
        async with raw_engine({"*": steps}) as engine, open_driver(Endpoint(engine.url, "", kind, LIMITS)) as driver:
            tracemalloc.start()
            try:
                with pytest.raises(BadRequest):
                    await driver.models()
                peak = tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()
            assert peak < 40_000_000


@pytest.mark.parametrize("slots", [b"7", b"null", b"true", b"{}", b'"on"', b"[1]"])
async def test_slots_that_are_no_list_tell_nothing(slots: bytes) -> None:
    scripts = {**COMPLETION.before, "/slots": (response(slots),)}
    async with raw_engine(scripts) as engine, open_driver(Endpoint(engine.url, "", "llama.cpp", LIMITS)) as driver:
        assert not (await driver.facts()).running


async def test_a_model_that_is_not_served_is_never_asked_of_sglang() -> None:
    """It answers 200 under any name."""
    scripts = {
        "/v1/models": (response(b'{"data":[{"id":"other"}]}'),),
        "*": (CHAT.opening(), CHAT.token("a"), CHAT.last),
    }
    async with raw_engine(scripts) as engine, open_driver(Endpoint(engine.url, "", "sglang", LIMITS)) as driver:
        heard = await hear(driver, CHAT.request())
    assert heard.error is not None
    assert heard.error.code == "model_missing"
    assert engine.paths == ["/v1/models"]


async def test_ollamas_own_ways_of_refusing_are_understood() -> None:
    option = response(b'{"error":"option \\"temperature\\" must be of type float32"}', status=500)
    assert type((await heard_of(OLLAMA, option)).error) is BadRequest
    scripts = {**OLLAMA.before, OLLAMA.path: (OLLAMA.opening(), OLLAMA.token("a"), OLLAMA.last)}
    async with raw_engine(scripts) as engine, open_driver(Endpoint(engine.url, "", "ollama", LIMITS)) as driver:
        await hear(driver, OLLAMA.request())
    assert b'"truncate":false' in engine.seen[-1][2], "else it cuts the prompt without a word"


PULL = {"status": "pulling", "digest": "sha256:a", "total": 9, "completed": 3}
PULLS: dict[str, list[Step]] = {
    "closed": [line(PULL)],
    "half a line": [line(PULL)[:-9]],
    "reset": [line(PULL), Pause(0.05), RESET],
    "garbage": [line(PULL), b"<html>\n"],
    "endless line": [line(PULL), Again(b"x" * 65536)],
    "endless empty lines": [line(PULL), Again(b"\n" * 65536)],
    "an error": [line(PULL), line({"error": "boom"})],
    "wrong type": [line({**PULL, "total": "9"})],
}


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("case", PULLS)
async def test_a_pull_that_does_not_end_well_says_so(case: str, is_chunked: bool) -> None:
    steps = [chunk(step) if is_chunked and isinstance(step, bytes) else step for step in PULLS[case]]
    if is_chunked:
        steps = [Again(chunk(step.content)) if isinstance(step, Again) else step for step in steps]
    async with (
        raw_engine({"/api/pull": (opening(kind=NDJSON, chunked=is_chunked), *steps)}) as engine,
        open_driver(Endpoint(engine.url, "", "ollama", LIMITS)) as driver,
    ):
        with pytest.raises(BackendError):
            async with asyncio.timeout(DEADLINE_SECONDS):
                await _pulled(driver)


async def test_a_pull_ends_with_the_word_success_and_counts_nothing_below_zero() -> None:
    steps = (
        opening(kind=NDJSON, chunked=True),
        chunk(line({**PULL, "completed": -3})),
        chunk(line({"status": "success"})),
    )
    async with (
        raw_engine({"/api/pull": (*steps, LAST_CHUNK)}) as engine,
        open_driver(Endpoint(engine.url, "", "ollama", LIMITS)) as driver,
    ):
        assert isinstance(driver, Pulls)
        pulling: AsyncIterator[Any] = driver.pull("m")
        assert [step.done async for step in pulling] == [0, 0]


async def _calls(wire: Any, *rows: bytes, silence: float = 30) -> Any:
    limits = Limits(connect=20, first_token=30, silence=silence)
    return await heard_of(wire, wire.opening(), *rows, limits=limits)


async def test_arguments_that_take_longer_than_a_silence_may_last_are_no_silence() -> None:
    def row(piece: str) -> bytes:
        call = {"index": 0, "id": "c", "function": {"name": "f", "arguments": piece}}
        return b"data: " + line({"choices": [{"delta": {"tool_calls": [call]}}]}) + b"\n"

    slowly = [step for n in range(12) for step in (row(str(n)), Pause(0.1))]
    heard = await _calls(CHAT, CHAT.token("a"), *slowly, CHAT.last, silence=0.6)
    assert heard.error is None
    assert heard.calls[0].arguments == "01234567891011"


async def test_calls_in_lines_of_their_own_stay_apart_and_hold_no_nul() -> None:
    rows = [line({"message": {"tool_calls": [{"function": {"name": n, "arguments": {"a": 1}}}]}}) for n in ("f\0", "g")]
    heard = await _calls(OLLAMA, *rows, OLLAMA.last)
    assert [(call.name, call.arguments) for call in heard.calls] == [("f\ufffd", '{"a":1}'), ("g", '{"a":1}')]


async def test_a_call_that_is_not_whole_is_not_told() -> None:
    row = b'data: {"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":"{"}}]}}]}\n\n'
    heard = await _calls(CHAT, row)
    assert type(heard.error) is BrokeOff
    assert not heard.calls
