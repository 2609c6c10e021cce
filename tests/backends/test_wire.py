"""The pure functions of the wire: every cut of a stream, every shape of an error."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.backends.base import (
    BadRequest,
    BrokeOff,
    ContextTooLong,
    ModelMissing,
    Overloaded,
    Unreachable,
    WrongKey,
)
from models_admin.backends.control_tokens import neutralise
from models_admin.backends.openai_wire import MAX_LINE_BYTES, LineReader, WireUsage, read_usage
from models_admin.backends.thought import ThoughtSplitter, begins_in_thought
from models_admin.backends.wire_errors import read_error, read_stream_error

STREAM = (
    ': keep-alive\n\ndata: {"choices":[{"delta":{"content":"你"}}]}\n\n'
    'data:{"choices":[{"delta":{"reasoning":"b"}}]}\r\n\r\n'
    'event: x\ndata: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2}}\n\n'
    'data: [DONE]\n\ndata: {"choices":[]}\n\n'
).encode()


@given(st.lists(st.integers(0, len(STREAM)), max_size=8))
def test_events_are_the_same_wherever_the_stream_is_cut(cuts: list[int]) -> None:
    lines, events = LineReader(), []
    edges = [0, *sorted(cuts), len(STREAM)]
    for start, end in pairwise(edges):
        if not lines.is_done:
            events += list(lines.feed(STREAM[start:end]))
    assert lines.is_done
    assert len(events) == 3, "what follows [DONE] is not read"
    assert events[0].choices[0].delta is not None
    assert events[0].choices[0].delta.content == "你"
    assert events[2].usage == WireUsage(3, 2)


@pytest.mark.parametrize(
    "line", [b"data: {", b"data: 1", b'data: "\xff"', b"data: " + b'{"choices":[' * 100_000, b'data: {"choices":{}}']
)
def test_a_line_that_is_no_event_breaks_the_answer_off(line: bytes) -> None:
    with pytest.raises(BrokeOff):
        list(LineReader().feed(line + b"\n"))


def test_a_line_without_end_does_not_eat_the_memory() -> None:
    lines = LineReader()
    with pytest.raises(BrokeOff):
        for _ in range(MAX_LINE_BYTES // 16384 + 2):
            list(lines.feed(b"x" * 16384))


TEXT = "I think </thin that\n</think>\n\nso: </think> <think> 42"


@given(st.lists(st.integers(0, len(TEXT)), max_size=12), st.booleans())
def test_thinking_is_told_apart_wherever_the_text_is_cut(cuts: list[int], has_opening_tag: bool) -> None:
    text = "\n<think>" + TEXT if has_opening_tag else TEXT
    splitter = ThoughtSplitter(inside=not has_opening_tag)
    edges = [0, *sorted(cuts), len(text)]
    pieces = [piece for a, b in pairwise(edges) for piece in splitter.feed(text[a:b])]
    pieces += splitter.end()
    assert "".join(piece for channel, piece in pieces if channel == "thinking") == "I think </thin that\n"
    assert "".join(piece for channel, piece in pieces if channel == "answer") == "\n\nso: </think> <think> 42"


@given(st.text(max_size=40))
def test_a_plain_answer_passes_the_splitter_unchanged(text: str) -> None:
    splitter = ThoughtSplitter(inside=False)
    pieces = [*splitter.feed(text[:3]), *splitter.feed(text[3:]), *splitter.end()]
    assert "".join(piece for _, piece in pieces) == text or text.lstrip().startswith("<think>")


@given(st.text(alphabet=st.sampled_from("<>|｜/thinkUser \0\ud800a"), max_size=60))
def test_neutral_text_stays_neutral_and_can_be_sent(text: str) -> None:
    once = neutralise(text)
    assert neutralise(once) == once
    assert "\0" not in once
    assert "<think>" not in once
    once.encode()


@pytest.mark.parametrize(("name", "expected"), [("deepseek-r1:8b", True), ("DeepSeek-R1-Distill-Qwen-7B", True), ("qwq", True), ("r100", False), ("llama3", False)])  # fmt: skip  # noqa: E501
def test_r1_is_known_by_its_name(name: str, expected: bool) -> None:
    assert begins_in_thought(name) is expected


ERRORS = [
    # llama.cpp
    (400, b'{"error":{"code":400,"message":"request (12005 tokens) exceeds the available context size (2048 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":12005,"n_ctx":2048}}', ContextTooLong, (2048, 12005)),  # noqa: E501
    (401, b'{"error":{"message":"Invalid API Key","type":"authentication_error","code":401}}', WrongKey, None),
    (503, b'{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}', Overloaded, None),
    # vLLM
    (400, b'{"error":{"message":"This model\'s maximum context length is 2048 tokens. However, your prompt contains at least 2049 input tokens, which exceeds this limit even without any output tokens.","type":"BadRequestError","param":"input_tokens","code":400}}', ContextTooLong, (2048, 2049)),  # noqa: E501
    (404, b'{"error":{"message":"The model `x` does not exist.","type":"NotFoundError","param":"model","code":404}}', ModelMissing, None),  # noqa: E501
    (401, b'{"error":"Unauthorized"}', WrongKey, None),
    # SGLang
    (400, b'{"object":"error","message":"The input (9004 tokens) is longer than the model\'s context length (2048 tokens).","type":"BadRequestError","param":null,"code":400}', ContextTooLong, (2048, 9004)),  # noqa: E501
    # others
    (404, b"404 page not found", BadRequest, None),
    (404, b'{"error":{"message":"model \\"zz\\" not found, try pulling it first","type":"api_error","code":null}}', ModelMissing, None),  # noqa: E501
    (502, b"<html>Bad gateway</html>", Unreachable, None),
    (500, b"\xff" * 10, Unreachable, None),
    (400, b"[" * 100_000, BadRequest, None),
    (400, b"", BadRequest, None),
    (400, b"[1]", BadRequest, None),
]  # fmt: skip


@pytest.mark.parametrize(("status", "body", "kind", "numbers"), ERRORS)
def test_every_shape_of_error_body_is_understood(
    status: int, body: bytes, kind: type[Exception], numbers: tuple[int, int] | None
) -> None:
    error = read_error(status, body)
    assert type(error) is kind
    if isinstance(error, ContextTooLong):
        assert (error.limit, error.asked) == numbers


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ({"object": "error", "message": "The request queue is full.", "code": 503}, Overloaded),
        ({"message": "EngineCore encountered an issue", "code": 500}, Unreachable),
        ("boom", Unreachable),
        ({"code": {}}, Unreachable),
    ],
)  # fmt: skip
def test_an_error_inside_a_stream_is_read_like_its_status(error: object, kind: type[Exception]) -> None:
    assert type(read_stream_error(error)) is kind


@pytest.mark.parametrize(("header", "seconds"), [("2", 2.0), ("1.5", 1.5), ("-1", 0.0), ("soon", None), (None, None)])
def test_the_time_to_come_back_is_read_from_the_header(header: str | None, seconds: float | None) -> None:
    error = read_error(429, b"", retry_after=header)
    assert isinstance(error, Overloaded)
    assert error.retry_after == seconds


@given(st.integers(0, 500), st.integers(0, 500), st.integers(0, 2000))
def test_thinking_and_answer_add_up_to_the_engines_total_or_to_what_came(
    thinking: int, answer: int, written: int
) -> None:
    usage = read_usage(WireUsage(7, written), thinking_count=thinking, answer_count=answer)
    assert usage.thinking_tokens + usage.answer_tokens == max(written, thinking + answer)
    assert usage.thinking_tokens >= 0 <= usage.answer_tokens
