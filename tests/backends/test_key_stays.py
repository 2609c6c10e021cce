"""The key of an engine goes to the engine and nowhere else, whatever the engine does with it."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest

from models_admin.backends.base import BackendError, Endpoint, WrongKey
from models_admin.backends.drivers import DRIVERS, open_driver
from tests.backends.wires import CHAT, KEY, WIRES, Wire, heard_of, line
from tests.raw_engine import Step, chunk, raw_engine, response

_K = KEY.encode()
ECHOES: dict[str, Callable[[Wire], list[Step]]] = {
    "refusal": lambda w: [response(b'{"error":{"message":"no such key: %s"}}' % _K, status=400)],
    "wrong key": lambda w: [response(b'{"error":"Bearer %s is not allowed"}' % _K, status=401)],
    "plain text": lambda w: [response(b"who is %s" % _K, status=500)],
    "cut off": lambda w: [response(b"x" * (205 - len(_K)) + _K, status=500)],
    "escaped": lambda w: [response(b'{"error":"%s"}' % _K.replace(b"-", b"\\u002d"), status=400)],
    "in the stream": lambda w: [w.opening(), w.token("a"), w.error(f"who is {KEY}")],
    "no event": lambda w: [w.opening(), w.token("a"), b"data: " + _K + b"\n\n"],
    "no event, cut off": lambda w: [w.opening(), w.token("a"), b"data: " + b"x" * 50 + _K + b"\n\n"],
    "bad header": lambda w: [b"HTTP/1.1 200 OK\r\nAuthorization Bearer " + _K + b"\x01\r\n\r\n"],
    "status line": lambda w: [_K + b" 200 OK\r\n\r\n"],
    "chunk size": lambda w: [w.opening(chunked=True) + chunk(w.token("a")) + _K + b"\r\n"],
    "redirect": lambda w: [response(b"", status=302, headers=b"Location: http://h/?key=" + _K + b"\r\n")],
}


def told(error: BackendError | None) -> str:
    assert error is not None
    shown = "".join(traceback.format_exception(error))
    return f"{error} {error!r} {error.args!r} {shown} {vars(error)!r}"


@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
@pytest.mark.parametrize("case", ECHOES)
async def test_an_engine_that_repeats_the_key_does_not_get_it_into_an_error(
    wire: Wire, case: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    heard = await heard_of(wire, *ECHOES[case](wire), key=KEY)
    for text in (told(heard.error), caplog.text):
        assert KEY[:20] not in text
        assert KEY[:12] not in text


@pytest.mark.parametrize("step", [line({"error": f"who is {KEY}"}), b"{" + _K + b"\n", b'{"status":"' + _K])
async def test_a_pull_that_repeats_the_key_does_not_get_it_into_an_error(step: bytes) -> None:
    async with (
        raw_engine({"*": (response(step, kind="application/x-ndjson"),)}) as engine,
        open_driver(Endpoint(engine.url, KEY, "ollama")) as driver,
    ):
        with pytest.raises(BackendError) as caught:
            async for _ in driver.pull("m"):  # type: ignore[attr-defined]
                pass
    assert KEY[:12] not in told(caught.value)


@pytest.mark.parametrize("kind", DRIVERS)
async def test_a_model_that_is_not_served_is_told_without_what_the_engine_lists(kind: str) -> None:
    listed = b'{"data":[{"id":"%s"}],"models":[{"name":"%s"}],"total_slots":1}' % (_K, _K)
    async with (
        raw_engine({"/api/show": (response(b"{}", status=404),), "*": (response(listed),)}) as engine,
        open_driver(Endpoint(engine.url, KEY, kind)) as driver,
    ):
        with pytest.raises(BackendError) as caught:
            await driver.inspect("m")
        assert KEY[:12] not in told(caught.value)
        with pytest.raises(BackendError) as caught:
            async for _ in driver.chat(CHAT.request()):
                pass
        assert KEY[:12] not in told(caught.value)


@pytest.mark.parametrize("key", ["sk-…", "sk-1\n", "a\r\nX: y", "\0", "\u200bsk-1", "钥匙"])
async def test_a_key_that_no_header_can_carry_is_a_wrong_key(key: str) -> None:
    with pytest.raises(WrongKey) as caught:
        async with open_driver(Endpoint("http://127.0.0.1:1", key, "vllm")) as driver:
            await driver.models()
    assert key not in told(caught.value)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("wire", WIRES.values(), ids=WIRES)
async def test_a_refused_key_is_a_wrong_key(wire: Wire, status: int) -> None:
    heard = await heard_of(wire, response(b'{"error":"Unauthorized"}', status=status), key=KEY)
    assert type(heard.error) is WrongKey


async def test_a_key_stays_out_of_what_a_driver_shows_of_itself() -> None:
    async with open_driver(Endpoint("http://127.0.0.1:1", KEY, "vllm")) as driver:
        assert KEY not in repr(driver) + repr(driver.endpoint)
