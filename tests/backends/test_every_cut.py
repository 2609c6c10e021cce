"""Recorded answers of real engines, cut off at every byte: exactly the text so far, and a clean error."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from models_admin.backends.base import BrokeOff, ChatMessage, ChatRequest, Endpoint, Unreachable
from models_admin.backends.drivers import open_driver
from tests import recorded_engine
from tests.backends.wires import CHAT, LIMITS, OLLAMA, Heard, Wire, hear
from tests.raw_engine import LAST_CHUNK, RawEngine, chunk, raw_engine, response

SAMPLE = 150  # positions of each recording in the ordinary run
NEAR = 3  # bytes on either side of a character or a tag
_LIST = response(b'{"data":[{"id":"r1-tiny","max_model_len":2048,"meta":{"n_ctx":2048}}]}')
_PROPS = response(b'{"default_generation_settings":{"n_ctx":2048},"total_slots":1}')
_OPENAI = {"/v1/models": (_LIST,), "/props": (_PROPS,), "/slots": (response(b"[]"),)}


@dataclass(frozen=True)
class Recorded:
    wire: Wire
    name: str
    model: str = "r1-tiny"

    @property
    def body(self) -> bytes:
        return recorded_engine.read(self.name).body

    @property
    def framed(self) -> bytes:
        """As its engine sends it: a chunk for each event or line."""
        return b"".join(map(chunk, recorded_engine.read(self.name).pieces)) + LAST_CHUNK

    def request(self) -> ChatRequest:
        return ChatRequest(self.model, (ChatMessage("user", "hi"),))


RECORDED = (
    Recorded(OLLAMA, "ollama/chat_stream"),
    Recorded(OLLAMA, "ollama/plain_template_thinking_in_content", "r1-tiny-plain"),
    Recorded(replace(CHAT, before=_OPENAI), "vllm/chat_stream_usage"),
    Recorded(replace(CHAT, before=_OPENAI, kind="sglang"), "sglang/chat_stream_usage"),
    Recorded(replace(CHAT, before=_OPENAI, kind="llama.cpp"), "llama_cpp/stream_timings_per_token_progress"),
)


@pytest.fixture(params=RECORDED, ids=[each.name for each in RECORDED])
def recorded(request: pytest.FixtureRequest) -> Recorded:
    found: Recorded = request.param
    return found


async def test_a_cut_answer_is_exactly_what_came(recorded: Recorded) -> None:
    await check(recorded, sample(recorded.body, SAMPLE), is_chunked=False)


async def test_a_cut_inside_chunks_is_exactly_what_came(recorded: Recorded) -> None:
    await check(recorded, sample(recorded.framed, SAMPLE // 3), is_chunked=True)


@pytest.mark.long
@pytest.mark.parametrize("is_chunked", [False, True])
async def test_every_cut_is_exactly_what_came(recorded: Recorded, is_chunked: bool) -> None:
    await check(recorded, range(len(recorded.framed if is_chunked else recorded.body)), is_chunked=is_chunked)


async def check(recorded: Recorded, cuts: Iterator[int] | range | list[int], *, is_chunked: bool) -> None:
    wire, content = recorded.wire, recorded.framed if is_chunked else recorded.body
    engine: RawEngine
    async with raw_engine({}) as engine, open_driver(Endpoint(engine.url, "", wire.kind, LIMITS)) as driver:
        for cut in cuts:
            sent = content[:cut]
            engine.scripts = {**wire.before, wire.path: (wire.opening(chunked=is_chunked), sent)}
            heard = await hear(driver, recorded.request())
            expected = read_simply(unchunked(sent) if is_chunked else sent, is_whole=not is_chunked)
            compare(heard, expected, is_chunked=is_chunked, at=f"{recorded.name} cut at {cut} of {len(content)}")


@dataclass(frozen=True)
class Expected:
    thinking: str
    answer: str
    has_finish: bool
    has_end: bool


def compare(heard: Heard, expected: Expected, *, is_chunked: bool, at: str) -> None:
    assert (heard.text("thinking"), heard.text()) == (expected.thinking, expected.answer), at
    if expected.has_end:
        assert heard.error is None, at
    elif is_chunked or not expected.has_finish:
        has_text = bool(expected.thinking or expected.answer)
        assert type(heard.error) is (BrokeOff if has_text else Unreachable), at
    assert (heard.finish is None) == (heard.error is not None), at


def read_simply(sent: bytes, *, is_whole: bool) -> Expected:
    """What stands in the bytes; `is_whole`: the last line counts also where its end of line was cut away."""
    *lines, rest = sent.split(b"\n")
    thinking = answer = ""
    has_finish = has_end = False
    for line in [*lines, rest] if is_whole else lines:
        try:
            value = json.loads(line.removeprefix(b"data:"))
        except ValueError:
            has_end = has_end or line == b"data: [DONE]"
            continue
        message = _message(value)
        thinking += message.get("thinking") or message.get("reasoning") or message.get("reasoning_content") or ""
        answer += message.get("content") or ""
        has_end = has_end or value.get("done") is True
        has_finish = has_finish or has_end or '"finish_reason": "' in json.dumps(value)
    if not thinking:  # left in the text
        thinking, _, answer = answer.partition("</think>")
    return Expected(thinking.lstrip("\n"), answer.lstrip("\n"), has_finish, has_end)


def _message(value: dict[str, Any]) -> dict[str, Any]:
    choices: list[dict[str, Any]] = value.get("choices") or [{}]
    found: dict[str, Any] = value.get("message") or choices[0].get("delta") or {}
    return found


def unchunked(sent: bytes) -> bytes:
    """The content of chunks, the last of which may be cut."""
    content = b""
    while b"\r\n" in sent:
        size, _, sent = sent.partition(b"\r\n")
        content += sent[: int(size, 16)]
        sent = sent[int(size, 16) + 2 :]
    return content


def sample(content: bytes, count: int) -> list[int]:
    """Positions: around every character of several bytes and the tag of the thought, and evenly between."""
    near = {at + off for at in _marked(content) for off in range(-NEAR, NEAR + 1)}
    even = {round(n * len(content) / count) for n in range(count)}
    edges = {0, 1, len(content) - 2, len(content) - 1}
    return sorted(at for at in near | even | edges if 0 <= at < len(content))


def _marked(content: bytes) -> Iterator[int]:
    """Where characters of several bytes begin, and every byte of a closing tag, however it is escaped."""
    yield from (at for at, byte in enumerate(content) if byte >= 0xC0)
    for tag in (b"</think>", b"\\u003c/think\\u003e"):
        at = content.find(tag)
        yield from range(at, at + len(tag)) if at >= 0 else ()


def test_the_simple_reading_reads() -> None:
    line = recorded_engine.read("ollama/chat_stream").body
    assert read_simply(line, is_whole=False).answer == "37 × 24 = **888**"
