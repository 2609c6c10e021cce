"""What a script may send, read by the same parser as the door's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat.api import openai
from chat.api.openai import Refused

HELLO = [{"role": "user", "content": "hi"}]


def parse(**fields: Any) -> openai.Completion:
    return openai.parse(json.dumps({"model": "m", "messages": HELLO} | fields).encode())


def refusal(**fields: Any) -> dict[str, Any]:
    with pytest.raises(Refused) as refused:
        parse(**fields)
    assert refused.value.status == 400
    return dict(refused.value.body["error"])


def test_the_last_turn_is_the_question_and_the_others_come_before_it() -> None:
    turns = [
        {"role": "developer", "content": "be short"},
        {"role": "user", "content": "1+1"},
        {"role": "assistant", "content": "2"},
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    ]
    found = parse(messages=turns)
    assert found.turns == (("system", "be short"), ("user", "1+1"), ("assistant", "2"))
    assert found.text == "a\nb"


def test_options_keep_their_values() -> None:
    found = parse(temperature=0, top_p=0.5, seed=7, stop="x", max_tokens=5, max_completion_tokens=9)
    assert found.options == {"temperature": 0.0, "top_p": 0.5, "seed": 7, "stop": ["x"], "max_tokens": 9}


@pytest.mark.parametrize(
    ("wish", "schema"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, ""),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}, '{"type":"object"}'),
    ],
)
def test_the_form_of_the_answer_is_kept(wish: dict[str, Any], schema: str | None) -> None:
    assert parse(response_format=wish).options.get("json_schema") == schema


@pytest.mark.parametrize(("effort", "think"), [(None, "auto"), ("none", "off"), ("low", "on"), ("high", "on")])
def test_effort_chooses_whether_to_think(effort: str | None, think: str) -> None:
    assert parse(reasoning_effort=effort).think == think


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"schema": {"d": "x" * 70_000}}}},
            "response_format",
        ),
        ({"logprobs": True}, "logprobs"),
        ({"unheard_of": 1}, "unheard_of"),
        ({"temperature": 3}, "temperature"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 2**70}, "max_tokens"),
        ({"seed": 2**70}, "seed"),
        ({"messages": []}, "messages"),
        ({"model": ""}, "model"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [*HELLO, {"role": "assistant", "content": "x"}]}, "messages"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content"),
    ],
)
def test_what_is_not_done_here_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    assert refusal(**fields)["param"] == param


@pytest.mark.parametrize("fields", [{"n": 1}, {"tools": []}, {"user": "me"}, {"store": False}, {"presence_penalty": 0}])
def test_what_asks_for_nothing_is_taken(fields: dict[str, Any]) -> None:
    assert parse(**fields).text == "hi"


@pytest.mark.parametrize(
    "raw", [b"", b"{", b"[]", b"null", b'{"model":"\xff"}', b"[" * 100_000, b'{"model":NaN}', b'{"messages":' * 50_000]
)
def test_what_is_no_request_is_refused(raw: bytes) -> None:
    with pytest.raises(Refused) as refused:
        openai.parse(raw)
    assert refused.value.status == 400


@given(
    st.binary() | st.recursive(st.none() | st.text() | st.integers(), st.lists).map(lambda x: json.dumps(x).encode())
)
def test_no_body_raises_anything_but_a_refusal(raw: bytes) -> None:
    with pytest.raises(Refused):
        openai.parse(raw)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            name: st.none()
            | st.booleans()
            | st.integers()
            | st.floats(allow_nan=False)
            | st.text()
            | st.lists(st.text())
            for name in [*sorted(openai.KNOWN), *sorted(openai.NOT_DONE)]
        },
    )
)
def test_no_field_raises_anything_but_a_refusal(fields: dict[str, Any]) -> None:
    try:
        assert parse(**fields).text
    except Refused as refused:
        assert refused.status == 400
