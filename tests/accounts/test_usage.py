"""Everybody's own usage page, its table, and the admin's board."""

from __future__ import annotations

import csv
import html
import io
import re
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from accounts import ledger, rollup
from accounts.models import QuotaLimit, User
from models_admin.models import CatalogueModel

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


def use(person: User, **fields: Any) -> None:
    fields = {"at": datetime.now(UTC), "model_key": "r1", "source": "web", **fields}
    ledger.record(ledger.Use(key=f"{uuid.uuid4()}/1/use", ledger_id=person.ledger_id, **fields))


def browser(person: User) -> Client:
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


def words(page: str) -> str:
    """What stands beside the sidebar, blanks made one."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("</aside>") :])).split())


def table(client: Client, address: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(client.get(address).content.decode())))


@pytest.fixture
def used(person: User, admin_person: User) -> User:
    use(person, prompt_tokens=11, thinking_tokens=1200, answer_tokens=34, waiting_ms=1500, gpu_ms_charged=42_000)
    use(person, source="api", answer_tokens=6, unsent_thinking_tokens=1200, gpu_ms_charged=8_000)
    use(person, model_key="cloud", answer_tokens=5, cost_micro=1_250_000, currency="USD")
    use(person, at=datetime.now(UTC) - timedelta(days=20), answer_tokens=1000)
    use(admin_person, answer_tokens=77, gpu_ms_charged=1_000)
    rollup.catch_up()
    return person


def test_the_page_shows_ones_own_use_alone(used: User) -> None:
    seen = words(browser(used).get("/usage/").content.decode())
    assert "All 3 11 0 1,200 45 50 1.25 USD" in seen
    assert "1,200 tokens saved" in seen
    assert "77" not in seen and "1,000" not in seen


def test_a_longer_time_is_one_click_away(used: User) -> None:
    client = browser(used)
    page = client.get("/usage/").content.decode()
    assert "?days=30" in page
    assert "All 4 11 0 1,200 1,045" in words(client.get("/usage/?days=30&show=requests").content.decode())
    assert words(client.get("/usage/?days=-1&show=<b>").content.decode()) == words(page)


def test_the_table_adds_up_to_the_page(used: User) -> None:
    CatalogueModel.objects.create(key="r1", name="R1 7B")
    rows = table(browser(used), "/usage/usage.csv")
    assert len(rows) == 3 and {row["model"] for row in rows if row["model_key"] == "cloud"} == {"cloud"}
    assert {row["model"] for row in rows if row["model_key"] == "r1"} == {"R1 7B"}
    assert [row["gpu_seconds"] for row in rows] == ["0.000", "8.000", "42.000"]
    assert [row["cost"] for row in rows] == ["1.250000", "0.000000", "0.000000"]
    assert sum(int(row["answer_tokens"]) for row in rows) == 45
    assert {row["currency"]: int(row["cost_micro"]) for row in rows} == {"": 0, "USD": 1_250_000}


def test_the_day_of_utc_is_told_on_the_readers_clock(used: User) -> None:
    client = browser(used)
    client.cookies["time_zone"] = "Asia/Kathmandu"
    assert "each begins at 05:45 in your time zone (Asia/Kathmandu)" in words(client.get("/usage/").content.decode())


def test_limits_stand_above_with_what_is_left(used: User) -> None:
    QuotaLimit.objects.create(subject_kind="user", subject_id=used.pk, unit="gpu_ms", window="day", amount=600_000)
    seen = words(browser(used).get("/usage/").content.decode())
    assert "GPU time today 0 s of 600 s 600 s left" in seen
    assert "limit 600 a day" in seen


def test_the_board_names_people_until_they_are_deleted(used: User, admin_person: User) -> None:
    client = browser(admin_person)
    assert "ann 3 1,245 50 98 %" in _board(client)
    used.delete()
    seen = _board(client)
    assert "a deleted person 3 1,245 50 98 %" in seen and "ann" not in seen.split("By person")[1]
    rows = table(client, "/admin/accounts/boxday/usage.csv")
    assert sum(int(row["answer_tokens"]) for row in rows) == 45 + 77
    assert {row["person"] for row in rows} == {"", "root"}


def test_the_board_tells_waits_and_fairness(person: User, admin_person: User) -> None:
    for waited in (200, 200, 200, 70_000):
        use(person, waiting_ms=waited, gpu_ms_charged=1000)
    use(admin_person, waiting_ms=90_000, gpu_ms_charged=4000)
    rollup.catch_up()
    seen = _board(browser(admin_person))
    assert "Waited, median 0.2 s" in seen
    assert "Fairness 1.00" in seen


def test_the_board_is_for_those_who_may(used: User) -> None:
    used.is_staff = True
    used.save()
    for address in ("/admin/accounts/boxday/", "/admin/accounts/boxday/usage.csv"):
        assert browser(used).get(address).status_code == 403


def test_a_name_that_a_spreadsheet_would_run_is_quoted(admin_person: User) -> None:
    use(admin_person, model_key="=cmd()")
    rollup.catch_up()
    assert table(browser(admin_person), "/usage/usage.csv")[0]["model_key"] == "'=cmd()"


def _board(client: Client) -> str:
    page = client.get("/admin/accounts/boxday/").content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("usage-board") :])).split())
