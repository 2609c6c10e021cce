"""The parsers of what engines send, fed with anything: they read it or say that it is wrong, and nothing else."""

from __future__ import annotations

import json
from contextlib import suppress
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.backends import deepseek, ollama, sglang, vllm
from models_admin.backends.answer import MAX_TOOL_CHARACTERS, Answer
from models_admin.backends.base import BackendError, Unreachable
from models_admin.backends.ollama_show import read_show
from models_admin.backends.ollama_wire import LineCutter, NdjsonReader, read_pull_line
from models_admin.backends.openai_wire import LineReader
from models_admin.backends.streaming import EventReader, Reader
from models_admin.backends.thought import ThoughtSplitter
from models_admin.backends.wire_errors import read_error, read_stream_error

NUMBERS = st.integers() | st.integers(-(10**200), 10**200) | st.floats() | st.sampled_from([10**4200, -1, 1e308, 2**63])
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def having(*names: str) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that have fields of these names, with anything in them."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(names, JSON))


DELTA = having("content", "reasoning", "reasoning_content", "tool_calls")
CHOICE = st.fixed_dictionaries({}, optional={"delta": DELTA | JSON, "text": JSON, "finish_reason": JSON})
USAGE = having("prompt_tokens", "completion_tokens", "prompt_tokens_details", "completion_tokens_details")
TIMINGS = having("prompt_ms", "predicted_ms")
EVENT = st.fixed_dictionaries(
    {},
    optional={"choices": st.lists(CHOICE | JSON, max_size=2) | JSON, "usage": USAGE, "timings": TIMINGS, "error": JSON},
)
CALL = st.fixed_dictionaries({}, optional={"function": having("name", "arguments", "index") | JSON, "id": JSON})
MESSAGE = st.fixed_dictionaries({}, optional={"content": JSON, "thinking": JSON, "tool_calls": st.lists(CALL)})
LINE = st.fixed_dictionaries(
    {},
    optional={
        "message": MESSAGE | JSON,
        **dict.fromkeys(("response", "thinking", "done", "done_reason", "prompt_eval_count", "eval_count"), JSON),
        **dict.fromkeys(("prompt_eval_duration", "eval_duration", "error"), JSON),
    },
)


def openai(inside: bool = False) -> Reader:
    return EventReader(Answer(ThoughtSplitter(inside=inside)))


def ndjson(inside: bool = False) -> Reader:
    return NdjsonReader(Answer(ThoughtSplitter(inside=inside)))


def finish(reader: Reader) -> None:
    """What a stream does at its end, whatever was read."""
    with suppress(BackendError):
        told = reader.answer.finish(reader.usage())
        counts = (told.prefill_ms, told.decode_ms, *vars_of(told.usage))
        assert all(0 <= count < 2**31 for count in counts), "a count beyond what a column holds"
    for call in reader.answer.tool_calls():
        assert "\0" not in call.arguments + call.id + call.name


def vars_of(usage: Any) -> list[int]:
    return [usage.prompt_tokens, usage.cached_tokens, usage.thinking_tokens, usage.answer_tokens]


@pytest.mark.parametrize("make", [openai, ndjson])
@given(chunks=st.lists(st.binary(max_size=40) | st.sampled_from([b"data:", b"\n", b'{"error"', b"[DONE]"]), max_size=8))
def test_any_bytes_are_read_or_told_wrong(make: Any, chunks: list[bytes]) -> None:
    reader = make()
    for chunk in chunks:
        if error := reader.feed(chunk):
            assert isinstance(error, BackendError)
            break
    finish(reader)


@given(EVENT | JSON)
def test_any_event_is_read_or_told_wrong(event: Any) -> None:
    reader = openai()
    assert isinstance(reader.feed(b"data: " + json.dumps(event).encode() + b"\n"), BackendError | None)
    finish(reader)


@given(LINE | JSON)
def test_any_line_is_read_or_told_wrong(line: Any) -> None:
    reader = ndjson()
    assert isinstance(reader.feed(json.dumps(line).encode() + b"\n"), BackendError | None)
    finish(reader)


@given(having("status", "digest", "total", "completed", "error") | JSON)
def test_any_line_of_a_pull_is_read_or_told_wrong(line: Any) -> None:
    with suppress(BackendError):
        read_pull_line(json.dumps(line).encode())


@given(st.integers(-1, 1000), st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()), st.text())
def test_any_refusal_is_an_error_of_ours(status: int, body: bytes, retry_after: str) -> None:
    error = read_error(status, body, retry_after=retry_after)
    assert isinstance(error, BackendError)
    assert len(str(error)) < 3000


@given(having("code", "message", "type", "n_ctx") | JSON)
def test_any_error_inside_a_stream_is_an_error_of_ours(error: Any) -> None:
    assert isinstance(read_stream_error(error), BackendError)


@pytest.mark.parametrize("code", ["9" * 5000, 10**4200, -5, True, None, "４０４", 200, 1e300])
def test_a_code_that_is_no_status_tells_nothing(code: object) -> None:
    kind = type(read_stream_error({"message": "boom", "code": code}))
    assert kind is Unreachable or code == "４０４"


@given(having("details", "model_info", "capabilities") | st.dictionaries(st.text(max_size=4), JSON))
def test_anything_shown_of_a_model_is_read(answer: dict[str, Any]) -> None:
    assert read_show("m", answer).name == "m"


@given(st.lists(having("memory", "max_running_requests", "weight_gb") | having("memory").map(lambda m: {"memory": m})))
def test_any_loads_of_sglang_are_read(ranks: list[dict[str, Any]]) -> None:
    for found in (sglang._total(ranks, "max_running_requests"), sglang._bytes(ranks, "memory")):
        assert found is None or 0 <= found < 2**63


@given(st.text(max_size=60) | NUMBERS.map(lambda n: f"vllm:num_requests_running {n}\n"))
def test_any_metrics_are_read(metrics: str) -> None:
    found = vllm._gauge(metrics, "num_requests_running")
    assert found is None or 0 <= found < 2**63


def test_metrics_without_a_closing_brace_are_read_at_once() -> None:
    """The pattern took the square of their length: hours for what an answer may have."""
    assert vllm._gauge("vllm:num_requests_running{\n" * 200_000, "num_requests_running") is None


@given(st.text(max_size=40) | st.sampled_from(["1e999999", "NaN", "sNaN", "-Infinity", "9e999990", "1_0", "١"]))
def test_any_balance_is_read_or_left_out(amount: str) -> None:
    found = deepseek._balance({"currency": "CNY", "total_balance": amount})
    assert found is None or abs(found.micro) <= 10**15


@given(st.text(max_size=30) | st.sampled_from(["9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2318-01-01"]))
def test_any_date_of_unloading_is_read_or_left_out(date: str) -> None:
    found = ollama._idle_seconds(date)
    assert found is None or found >= 0


TEXT = "你 think → </thi, nö\n</think>\n\n12 × 34 = 408 </think>"


def wire_of(make: Any) -> bytes:
    """The text in pieces of three characters, with odd line ends."""
    pieces = [TEXT[at : at + 3] for at in range(0, len(TEXT), 3)]
    if make is openai:
        rows: list[Any] = [{"choices": [{"delta": {"content": piece}}]} for piece in pieces]
    else:
        rows = [{"message": {"content": piece}} for piece in pieces]
    lead = "data: " if make is openai else ""
    return "\r\n\n".join(lead + json.dumps(row, ensure_ascii=False) for row in rows).encode() + b"\n"


@pytest.mark.parametrize("make", [openai, ndjson])
@given(data=st.data())
def test_the_text_is_the_same_wherever_its_bytes_are_cut(make: Any, data: st.DataObject) -> None:
    wire, reader = wire_of(make), make(True)
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=12))
    deltas = []
    for start, end in pairwise([0, *sorted(cuts), len(wire)]):
        assert reader.feed(wire[start:end]) is None
        deltas += reader.answer.take()
    deltas += reader.answer.rest()
    thinking, _, answer = TEXT.partition("</think>")
    assert "".join(delta.text for delta in deltas if delta.kind == "thinking") == thinking
    assert "".join(delta.text for delta in deltas if delta.kind == "answer") == answer.lstrip("\n")


@given(st.lists(st.binary(max_size=12), max_size=12))
def test_lines_are_the_same_wherever_they_are_cut(chunks: list[bytes]) -> None:
    cut, whole = LineCutter(), LineCutter()
    assert [line for chunk in chunks for line in cut.feed(chunk)] == whole.feed(b"".join(chunks))


@pytest.mark.parametrize("make", [openai, ndjson])
def test_arguments_of_a_call_that_never_end_are_broken_off(make: Any) -> None:
    piece = "x" * 4096
    call = {"index": 0, "function": {"name": "f", "arguments": piece}}
    row = {"choices": [{"delta": {"tool_calls": [call]}}]} if make is openai else {"message": {"tool_calls": [call]}}
    payload = (b"data: " if make is openai else b"") + json.dumps(row).encode() + b"\n"
    reader = make()
    errors = [error for _ in range(MAX_TOOL_CHARACTERS // 4096 + 1) if (error := reader.feed(payload))]
    assert errors


def test_an_event_reader_reads_errors_in_plain_json() -> None:
    (event,) = LineReader().feed(b'{"error":"boom"}\n')
    assert event.error == "boom"
