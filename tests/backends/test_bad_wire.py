"""Answers on an engine's bad days, byte by byte, over each wire: a clean error or a right answer, never more."""

from __future__ import annotations

import asyncio
import gzip
import tracemalloc
from collections.abc import Callable

import pytest

from models_admin.backends.base import BackendError, BadRequest, BrokeOff, Endpoint, Limits, Overloaded, Unreachable
from models_admin.backends.drivers import open_driver
from tests.backends.wires import CHAT, OLLAMA, WIRES, Wire, event, hear, heard_of, playing
from tests.raw_engine import LAST_CHUNK, RESET, STALL, Again, Pause, Step, chunk, response

SOON = Pause(0.05)
pytestmark = pytest.mark.usefixtures("deadline")


@pytest.fixture
async def deadline() -> None:
    """Nothing here may hang: far beyond any limit set below, the test is ended."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().call_later(60, task.cancel)


@pytest.fixture(params=WIRES.values(), ids=WIRES)
def wire(request: pytest.FixtureRequest) -> Wire:
    found: Wire = request.param
    return found


# What comes instead of an answer, or before its first token.
NO_ANSWER: dict[str, tuple[type[BackendError], Callable[[Wire], list[Step]]]] = {
    "garbage": (Unreachable, lambda w: [b"\x00\xff garbage\r\n\r\n"]),
    "another protocol": (Unreachable, lambda w: [b"220 mail.example ready\r\n", STALL]),
    "no HTTP at all": (Unreachable, lambda w: [w.token("a"), w.last]),
    "a web page": (Unreachable, lambda w: [response(b"<html>\n<p>hi</html>\n", kind="text/html")]),
    "empty": (Unreachable, lambda w: [response(b"")]),
    "closed": (Unreachable, lambda w: [b""]),
    "closed after the head": (Unreachable, lambda w: [w.opening()]),
    "reset": (Unreachable, lambda w: [RESET]),
    "reset after the head": (Unreachable, lambda w: [w.opening(chunked=True), SOON, RESET]),
    "an error in plain JSON": (Unreachable, lambda w: [response(b'{"error":"boom"}')]),
    "half a token": (Unreachable, lambda w: [w.opening(), w.token("a")[:-9]]),
    "endless line": (Unreachable, lambda w: [w.opening(), Again(b"x" * 65536)]),
    "endless empty lines": (Unreachable, lambda w: [w.opening(), Again(b"\n" * 65536)]),
    "no content": (BadRequest, lambda w: [b"HTTP/1.1 204 No Content\r\n\r\n"]),
    "a part": (BadRequest, lambda w: [response(w.token("a") + w.last, status=206)]),
    "another protocol agreed": (BadRequest, lambda w: [b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"]),
    "no such status": (Unreachable, lambda w: [response(b"", status=999)]),
    "huge header": (Unreachable, lambda w: [b"HTTP/1.1 200 OK\r\nX: ", Again(b"a" * 65536)]),
    "endless headers": (Unreachable, lambda w: [b"HTTP/1.1 200 OK\r\n", Again(b"a: b\r\n" * 1000)]),
    "endless status line": (Unreachable, lambda w: [b"HTTP/1.1 200 ", Again(b"a" * 65536)]),
    "endless refusal": (Unreachable, lambda w: [b"HTTP/1.1 500 No\r\n\r\n", Again(b"a" * 65536)]),
    "two lengths": (Unreachable, lambda w: [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"]),
    "length below zero": (Unreachable, lambda w: [b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n"]),
    "chunk of no size": (Unreachable, lambda w: [w.opening(chunked=True) + b"zz\r\nfoo"]),
    "chunk below zero": (Unreachable, lambda w: [w.opening(chunked=True) + b"-5\r\nfoo"]),
    "chunk beyond all numbers": (Unreachable, lambda w: [w.opening(chunked=True) + b"f" * 18 + b"\r\nfoo"]),
}  # fmt: skip


@pytest.mark.parametrize("case", NO_ANSWER)
async def test_what_is_no_answer_is_told_as_such(wire: Wire, case: str) -> None:
    kind, steps = NO_ANSWER[case]
    heard = await heard_of(wire, *steps(wire))
    assert type(heard.error) is kind
    assert not heard.deltas


# What breaks an answer off behind its first token, `a`.
BREAKS: dict[str, Callable[[Wire], list[Step]]] = {
    "closed": lambda w: [],
    "half a line": lambda w: [w.token("b")[:-9]],
    "half a character": lambda w: [w.token("你")[: w.token("你").index("你".encode()) + 1]],
    "no JSON": lambda w: [w.token("b").replace(b"}", b"")],
    "deep nesting": lambda w: [w.token("b").replace(b'"b"', b"[" * 100_000)],
    "huge number": lambda w: [w.token("b").replace(b'"b"', b"1" + b"0" * 5000)],
    "not a number": lambda w: [w.token("b").replace(b'"b"', b"NaN")],
    "wrong type": lambda w: [w.token("b").replace(b'"b"', b"7")],
    "endless line": lambda w: [Again(b"x" * 65536)],
    "endless empty lines": lambda w: [Again(b"\n" * 65536)],
    "an error": lambda w: [w.error("boom"), w.token("b"), w.last],
    "an error of a status beyond all numbers": lambda w: [event({"error": {"message": "x", "code": "9" * 5000}})],
}


@pytest.mark.parametrize("is_chunked", [False, True])
@pytest.mark.parametrize("case", BREAKS)
async def test_what_breaks_off_keeps_the_text_before(wire: Wire, case: str, is_chunked: bool) -> None:
    frame = chunk if is_chunked else bytes
    steps = [wire.token("a"), *BREAKS[case](wire)]
    framed = [frame(step) if isinstance(step, bytes) else Again(frame(step.content)) for step in steps]  # type: ignore[union-attr]
    heard = await heard_of(wire, wire.opening(chunked=is_chunked), *framed)
    assert type(heard.error) is BrokeOff
    assert heard.text() == "a"
    assert heard.error.__cause__ is not heard.error, "a chain of causes in a circle hangs who writes it down"


@pytest.mark.parametrize("is_chunked", [False, True])
async def test_a_reset_in_the_middle_keeps_the_text_before(wire: Wire, is_chunked: bool) -> None:
    token = chunk(wire.token("a")) if is_chunked else wire.token("a")
    heard = await heard_of(wire, wire.opening(chunked=is_chunked), token, SOON, RESET)
    assert type(heard.error) is BrokeOff
    assert heard.text() == "a"


async def test_a_stream_without_a_finish_is_not_whole() -> None:
    heard = await heard_of(CHAT, CHAT.opening(), CHAT.token("a"), b"data: [DONE]\n\n")
    assert type(heard.error) is BrokeOff


@pytest.mark.parametrize("case", ["crlf", "bytes", "chunked bytes", "continue", "no space", "extra", "NUL", "empty"])
async def test_odd_but_right_answers_are_read(wire: Wire, case: str) -> None:
    whole = wire.token("你") + wire.token("好") + wire.last
    empty = (wire.token("") * 10_000).replace(b'""', b"null")
    steps: dict[str, list[Step]] = {
        "crlf": [wire.opening(), whole.replace(b"\n", b"\r\n")],
        "bytes": [wire.opening(), *(whole[at : at + 1] for at in range(len(whole)))],
        "chunked bytes": [wire.opening(chunked=True), *(chunk(bytes([byte])) for byte in whole), LAST_CHUNK],
        "continue": [b"HTTP/1.1 100 Continue\r\n\r\n" * 3, wire.opening(), whole],
        "no space": [wire.opening(), whole.replace(b"data: ", b"data:")],
        "extra": [wire.opening(), whole.replace(b'{"', b'{"unknown": [1, {}], "', 1)],
        "NUL": [wire.opening(), wire.token("你\0")[:0] + whole.replace("你".encode(), b"\\u0000")],
        "empty": [wire.opening(), wire.token(""), empty, whole],
    }
    heard = await heard_of(wire, *steps[case])
    assert heard.error is None
    assert heard.text() == ("\ufffd好" if case == "NUL" else "你好")
    assert heard.finish is not None
    assert heard.finish.reason == "stop"


async def test_the_last_of_two_counts_is_the_count() -> None:
    first, second = ({"choices": [], "usage": {"prompt_tokens": n, "completion_tokens": n}} for n in (3, 5))
    heard = await heard_of(CHAT, CHAT.opening(), CHAT.token("a"), event(first), event(second), CHAT.last)
    assert heard.finish is not None
    assert (heard.finish.usage.prompt_tokens, heard.finish.usage.answer_tokens) == (5, 5)


async def test_an_answer_without_a_done_line_is_whole_all_the_same() -> None:
    heard = await heard_of(CHAT, CHAT.opening(), CHAT.token("a"), CHAT.last.replace(b"data: [DONE]\n\n", b""))
    assert heard.error is None
    assert heard.text() == "a"


async def test_an_end_without_a_word_is_an_empty_answer(wire: Wire) -> None:
    heard = await heard_of(wire, wire.opening(), wire.last)
    assert heard.error is None
    assert heard.finish is not None
    assert heard.finish.usage.answer_tokens == 0


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("location", ["/elsewhere", "http://169.254.169.254/latest/meta-data/", "http://[x", ""])
async def test_redirects_are_not_followed(wire: Wire, status: int, location: str) -> None:
    refusal = response(b"", status=status, headers=f"Location: {location}\r\n".encode())
    async with playing(wire, refusal) as (engine, driver):
        heard = await hear(driver, wire.request())
    assert type(heard.error) is BadRequest
    assert "/elsewhere" not in engine.paths


SHORT, LONG = 0.4, 60.0


@pytest.mark.parametrize(("case", "kind"), [("head", Unreachable), ("first token", Unreachable), ("middle", BrokeOff)])
async def test_silence_ends_at_its_own_limit(wire: Wire, case: str, kind: type[BackendError]) -> None:
    """Ollama sends no byte while another holds the slot; vLLM, told to end, falls silent with the connection open."""
    has_begun = case == "middle"
    limits = Limits(first_token=LONG if has_begun else SHORT, silence=SHORT if has_begun else LONG)
    before = {"head": [], "first token": [wire.opening()], "middle": [wire.opening(), wire.token("a")]}[case]
    heard = await heard_of(wire, *before, STALL, limits=limits)
    assert type(heard.error) is kind
    assert heard.text() == ("a" if has_begun else "")


async def test_the_limit_of_the_first_token_holds_for_head_and_token_together(wire: Wire) -> None:
    slow = [Pause(0.6), wire.opening(), Pause(0.6), wire.token("a"), wire.last]
    heard = await heard_of(wire, *slow, limits=Limits(first_token=0.8, silence=LONG))
    assert type(heard.error) is Unreachable


async def test_bytes_without_a_token_do_not_break_the_silence(wire: Wire) -> None:
    ping = b": ping\n\n" if wire is not OLLAMA else wire.token("")
    pings: list[Step] = [step for _ in range(200) for step in (ping, SOON)]
    heard = await heard_of(wire, wire.opening(), wire.token("a"), *pings, limits=Limits(silence=SHORT))
    assert type(heard.error) is BrokeOff


async def test_a_full_queue_told_inside_a_stream_is_overload() -> None:
    body = event({"error": {"object": "error", "message": "The request queue is full.", "code": 503}})
    heard = await heard_of(CHAT, CHAT.opening(), body, event({"choices": []}), b"data: [DONE]\n\n")
    assert type(heard.error) is Overloaded


@pytest.mark.parametrize("is_stream", [True, False])
async def test_an_error_of_a_megabyte_is_read_at_once_and_cut(wire: Wire, is_stream: bool) -> None:
    """The patterns that tell errors apart took minutes for it, on the loop that all answers share."""
    message = "model " * (100_000 if is_stream else 10_000)
    error = wire.error({"message": message, "code": 404}) if wire is not OLLAMA else wire.error(message)
    step = wire.opening() + error if is_stream else response(error.removeprefix(b"data: "), status=404)
    async with asyncio.timeout(20):
        heard = await heard_of(wire, step)
    assert heard.error is not None
    assert len(str(heard.error)) < 3000


@pytest.mark.parametrize("case", ["gzip", "line", "refusal"])
async def test_bombs_do_not_eat_the_memory(wire: Wire, case: str) -> None:
    packed = gzip.compress(b"x" * 50_000_000)
    steps: dict[str, list[Step]] = {
        "gzip": [wire.opening(headers=b"Content-Encoding: gzip\r\n"), packed],
        "line": [wire.opening(), Again(b"x" * 65536)],
        "refusal": [b"HTTP/1.1 400 No\r\nContent-Encoding: gzip\r\n\r\n", Again(packed)],
    }
    tracemalloc.start()
    try:
        heard = await heard_of(wire, *steps[case])
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert isinstance(heard.error, BackendError)
    assert peak < 16_000_000


async def test_a_port_that_accepts_nobody_is_unreachable() -> None:
    """The queue of the listening socket is full: the kernel answers nothing."""
    import socket

    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        await asyncio.sleep(0.05)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        async with open_driver(Endpoint(url, "", "ollama", Limits(connect=SHORT, question=LONG))) as driver:
            heard = await hear(driver, OLLAMA.request())
            assert type(heard.error) is Unreachable
            assert (await driver.health()).detail == "engine_unreachable"
