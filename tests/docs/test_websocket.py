"""docs/websocket.md, chat/protocol.py and static/js/protocol.js tell the same."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from chat import errors, protocol
from models_admin.backends import base

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/websocket.md").read_text()
SCRIPT = (ROOT / "static/js/protocol.js").read_text()
FRAMES = {frame.__struct_config__.tag: frame for frame in get_args(protocol.ClientFrame)}
EXAMPLES = [line.strip() for line in PAGE.splitlines() if line.startswith("    {")]
SENT_EXAMPLES = [json.loads(line) for line in PAGE.split("```json\n")[1].split("```")[0].splitlines()]
SENDERS = "\n".join((ROOT / "chat" / name).read_text() for name in ("consumers.py", "delivery.py", "protocol.py"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_is_a_frame_with_all_its_fields(example: str) -> None:
    wish = protocol.parse(example)
    assert set(json.loads(example)) == {"type", *wish.__struct_fields__}


def test_every_client_frame_has_an_example() -> None:
    assert {json.loads(example)["type"] for example in EXAMPLES} == set(FRAMES)


def test_the_page_sends_what_the_site_takes() -> None:
    sent = re.search(r"CLIENT_FRAMES = \[(.*?)\]", SCRIPT, re.DOTALL)
    assert sent and set(re.findall(r'"(\w+)"', sent[1])) == set(FRAMES)


def test_the_page_understands_what_is_documented() -> None:
    told = set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    known = re.search(r"SERVER_FRAMES = \[(.*?)\]", SCRIPT, re.DOTALL)
    assert known and set(re.findall(r'"(\w+)"', known[1])) == told


def test_close_codes_and_limits_are_the_same_everywhere() -> None:
    codes = [getattr(protocol, f"CLOSE_{name}") for name in ("FRAME", "RIGHTS", "SLOW", "SOCKETS", "RESTART")]
    assert [int(code) for code in re.findall(r"CLOSE = \{(.*)\}", SCRIPT)[0].replace(",", "").split()[1::2]] == codes
    assert all(str(code) in PAGE for code in codes)
    assert f"VERSION = {protocol.VERSION};" in SCRIPT


def test_every_frame_that_the_site_sends_is_documented() -> None:
    sent = set(re.findall(r'\bframe\(\s*"(\w+)"', SENDERS)) | set(re.findall(r'"type":"(\w+)"', SENDERS))
    assert sent == set(re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE))
    assert [example["type"] for example in SENT_EXAMPLES] == re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("example", SENT_EXAMPLES, ids=lambda example: example["type"])
def test_every_field_of_a_sent_example_is_in_the_table(example: dict[str, object]) -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith(f"| `{example['type']}` |"))
    assert set(example) - {"type"} <= set(re.findall(r"`(\w+)`", row))


def test_every_code_is_documented() -> None:
    refusals = {refusal.code for refusal in errors.WishRefused.__subclasses__()}
    refusals |= set(re.findall(r'_error\("(\w+)"', SENDERS))
    told = PAGE.split("Error codes: ")[1].split("\n\n")[0]
    assert refusals == set(re.findall(r"`(\w+)`", told))


def test_every_reason_of_an_engine_is_documented() -> None:
    """Those of a disk or a hub belong to pulls, which no socket tells of."""
    errors = base.BackendError.__subclasses__()
    reasons = {error.code for error in errors if error.__module__ == base.__name__}
    assert reasons
    told = PAGE.split("Reasons in `settled`: ")[1].split("\n\n")[0]
    assert reasons <= set(re.findall(r"`(\w+)`", told))
