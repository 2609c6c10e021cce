"""Frames: whatever comes in is a wish or a clear refusal."""

from __future__ import annotations

import json
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat import protocol
from chat.answer_log import Log, Position


@given(st.text())
def test_no_text_breaks_the_parser(text: str) -> None:
    with pytest.raises(protocol.BadFrame):
        protocol.parse(text)


@pytest.mark.parametrize(
    "frame",
    [
        "[" * 100_000,
        '{"type":"ask"}',
        '{"type":"root"}',
        '{"type":"watch","generation":"x"}',
        '{"type":"ack","g":1,"s":"1-1-1"}',
        '{"type":"ping","n":"many"}',
        "\ud800",
    ],
)
def test_a_wrong_frame_is_refused(frame: str) -> None:
    with pytest.raises(protocol.BadFrame):
        protocol.parse(frame)


def test_a_refusal_names_the_wish() -> None:
    with pytest.raises(protocol.BadFrame) as refused:
        protocol.parse('{"type":"ask","id":"7"}')
    assert refused.value.id == "7"


def test_a_wish_is_read_whole() -> None:
    key = uuid.uuid4()
    wish = protocol.parse(json.dumps({"type": "ask", "id": "1", "key": str(key), "text": "你好", "model": "m"}))
    assert wish == protocol.Ask(id="1", key=key, text="你好", model="m")


@given(st.text())
def test_a_delta_carries_any_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    frame = json.loads(protocol.delta(3, Position(1, 2), Position(1, 5), "a", text, 9))
    assert frame == {"type": "d", "g": 3, "f": "1-2", "s": "1-5", "k": "a", "d": text, "n": 9}


@given(st.lists(st.tuples(st.sampled_from("ta"), st.text(min_size=1), st.booleans())))
def test_a_log_keeps_every_character_in_order_however_it_is_cut(pieces: list[tuple[str, str, bool]]) -> None:
    log = Log("g", 1)
    for kind, text, closes in pieces:
        log.add(kind, text, 1)
        if closes:
            log.close_entry()
    for kind in "ta":
        assert log.text(kind) == "".join(text for each, text, _ in pieces if each == kind)
    assert [entry.n for entry in log.entries] == list(range(1, len(log.entries) + 1))
