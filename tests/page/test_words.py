"""Every code that the site sends has its sentence on the page, in both languages."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User

pytestmark = pytest.mark.django_db
BOOK = (Path(__file__).resolve().parents[2] / "docs" / "websocket.md").read_text()
# A page's own slips, not what a person did.
UNSAID = {"no_hello", "too_many_watched"}


def words(language: str) -> dict[str, str]:
    client = Client(headers={"accept-language": language})
    user, _made = User.objects.get_or_create(username="reader")
    client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
    found = re.search(r'id="r1-words"[^>]*>(.*?)</script>', client.get("/").content.decode())
    assert found
    catalogue: dict[str, str] = json.loads(found[1])
    return catalogue


def codes(beginning: str, end: str) -> set[str]:
    """What docs/websocket.md names between two marks."""
    found = re.search(f"{re.escape(beginning)}(.*?){re.escape(end)}", BOOK, re.DOTALL)
    assert found
    return set(re.findall(r"`(\w+)`", found[1])) - UNSAID


def keys() -> list[str]:
    waiting = codes("`reason` {`code`: ", ", `args`")
    errors, ends = codes("Error codes: ", "\n\n"), codes("Reasons in `settled`: ", "\n\n")
    assert {"ahead", "next"} <= waiting and "quota_used_up" in errors and "runner_lost" in ends
    ways = [f"way.{code}" for code in sorted(ends)]
    return [
        *(f"waiting.{code}" for code in sorted(waiting)),
        *(f"reason.{code}" for code in sorted(errors | ends)),
        *ways,
    ]


def test_every_code_has_words_in_both_languages() -> None:
    english, chinese = words("en"), words("zh-hans")
    assert [key for key in keys() if key not in english] == []
    assert [key for key in keys() if english[key] == chinese[key]] == []


def test_no_words_wait_for_a_code_that_nobody_sends() -> None:
    waiting = {key for key in words("en") if key.startswith("waiting.")}
    assert waiting - set(keys()) == {"waiting.unknown"}
