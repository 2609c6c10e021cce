"""Limits, presets, grants and requests for more, as an admin sets and answers them."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import quota, quota_requests, quota_standing
from accounts.models import Group, LedgerEntry, QuotaLimit, QuotaRequest, User

BACKEND = "django.contrib.auth.backends.ModelBackend"
LIMITS, REQUESTS = "/admin/accounts/quotalimit/", "/admin/accounts/quotarequest/"
EVERYONE = {"subject_kind": "everyone", "is_each": "on", "unit": "gpu_ms", "window": "month", "time_zone": "UTC"}


@pytest.fixture
def admin(admin_person: User) -> Client:
    browser = Client()
    browser.force_login(admin_person, backend=BACKEND)
    return browser


def text(response: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def used(person: User, gpu_seconds: int, **fields: object) -> None:
    row = {"at": timezone.now(), "model_key": "m", "source": "web", "ledger_id": person.ledger_id}
    key = f"{uuid.uuid4()}/1/use"
    LedgerEntry.objects.create(**row | {"key": key, "gpu_ms_charged": 1000 * gpu_seconds} | fields)


def left(person: User) -> list[int]:
    return [each.left for each in quota_standing.read(person, None, "m")]


def test_gpu_time_is_entered_and_shown_in_seconds(admin: Client) -> None:
    admin.post(f"{LIMITS}add/", EVERYONE | {"amount": "600.5"})
    row = QuotaLimit.objects.get()
    assert row.amount == 600_500 and "600.5 GPU seconds / month" in text(admin.get(LIMITS))
    assert 'value="600.5"' in admin.get(f"{LIMITS}{row.pk}/change/").content.decode()
    for wrong, told in (
        ({"unit": "requests"}, "whole number"),
        ({"amount": "9" * 17}, "more than can be counted"),
        ({"window": ""}, "Say for how long the amount is."),
    ):
        assert told in text(admin.post(f"{LIMITS}add/", EVERYONE | {"amount": "600.5"} | wrong))
    assert admin.post(f"{LIMITS}add/", EVERYONE | {"amount": "2", "unit": "running", "window": ""}).status_code == 302
    assert "2 running at once" in text(admin.get(LIMITS))


def test_who_would_be_over_is_told_before_it_is_saved_and_is_over_then(admin: Client, person: User) -> None:
    bob = User.objects.create_user("bob")
    used(person, 700)
    used(bob, 500)
    form = EVERYONE | {"amount": "600"}
    seen = admin.post(f"{LIMITS}add/", form)
    assert "Nothing is set yet" in text(seen) and "“Save” below sets it" in text(seen)
    assert "one person would have nothing left" in text(seen) and "ann: 700 s of 600 s" in text(seen)
    assert "bob" not in text(seen) and 'name="_seen"' in seen.content.decode() and not QuotaLimit.objects.exists()
    assert admin.post(f"{LIMITS}add/", form | {"_seen": "1"}).status_code == 302
    assert (left(person), left(bob)) == ([0], [100_000])
    with pytest.raises(quota.QuotaExceeded):
        quota.reserve(
            user=person, token=None, generation_id=uuid.uuid4(), model_key="m", amounts=quota.Amounts(gpu_ms=1)
        )


def test_the_preview_asks_only_for_what_the_limit_counts(admin: Client, person: User) -> None:
    lab = Group.objects.create(name="lab")
    bob = User.objects.create_user("bob", main_group=lab)
    used(person, 900)
    used(bob, 400)
    used(bob, 400, at=timezone.now() - timedelta(days=40))
    for more, told in (
        ({"subject_kind": "group", "group": lab.pk}, "nobody is at the limit"),
        ({"subject_kind": "group", "group": lab.pk, "amount": "400"}, "bob: 400 s of 400 s"),
        ({"subject_kind": "user", "user": person.pk}, "ann: 900 s of 600 s"),
        ({"is_each": ""}, "1,300 s of 600 s are used by all together"),
        ({"model_key": "another"}, "nobody is at the limit"),
        ({"unit": "requests", "amount": "1"}, "2 people would have nothing left"),
        ({"unit": "running", "amount": "1"}, "what is open now goes on"),
    ):
        fields = {name: value for name, value in (EVERYONE | {"amount": "600"} | more).items() if value != ""}
        assert told in text(admin.post(f"{LIMITS}add/", fields | {"_preview": "1"})), more
    assert not QuotaLimit.objects.exists()


def test_another_unit_begins_to_count_from_the_ledger(admin: Client, person: User) -> None:
    used(person, 50, answer_tokens=30, thinking_tokens=12)
    admin.post(f"{LIMITS}add/", EVERYONE | {"amount": "600"})
    assert left(person) == [550_000]
    address = f"{LIMITS}{QuotaLimit.objects.get().pk}/change/"
    admin.post(address, EVERYONE | {"amount": "700"})
    assert left(person) == [650_000]
    admin.post(address, EVERYONE | {"amount": "100", "unit": "output_tokens"})
    assert left(person) == [58]


def test_a_preset_is_seen_before_it_is_set(admin: Client, person: User) -> None:
    used(person, 601)
    seen = text(admin.get(f"{LIMITS}presets/class/"))
    assert "GPU time today, up to 600 s: one person would have nothing left" in seen and "ann: 601 s of 600 s" in seen
    assert not QuotaLimit.objects.exists()
    assert "The limits are set." in text(admin.post(f"{LIMITS}presets/class/", follow=True))
    assert left(person) == [0, 59]
    admin.post(f"{LIMITS}presets/few/")
    assert not QuotaLimit.objects.exists() and admin.get(f"{LIMITS}presets/none/").status_code == 404


def test_a_grant_needs_an_end(admin: Client, person: User) -> None:
    grant = EVERYONE | {"amount": "60", "is_grant": "on", "subject_kind": "user", "user": person.pk}
    assert "A grant needs an end" in text(admin.post(f"{LIMITS}add/", grant))
    admin.post(f"{LIMITS}add/", EVERYONE | {"amount": "600"})
    end = {"ends_at_0": "2099-01-01", "ends_at_1": "00:00"}
    assert admin.post(f"{LIMITS}add/", grant | end).status_code == 302
    assert left(person) == [660_000]


@pytest.fixture
def asked(person: User) -> QuotaRequest:
    """ann has used 500 of her 600 GPU s and asks for more."""
    used(person, 500)
    limit = QuotaLimit.objects.create(
        subject_kind="everyone", is_each=True, unit="gpu_ms", window="day", amount=600_000
    )
    key = uuid.uuid4()
    quota.reserve(user=person, token=None, generation_id=key, model_key="m", amounts=quota.Amounts(gpu_ms=500_000))
    return quota_requests.ask(person, limit.pk, "The thesis is due on Friday")


def test_a_request_shows_its_use_and_is_granted_until_a_date(admin: Client, person: User, asked: QuotaRequest) -> None:
    page = text(admin.get(f"{REQUESTS}{asked.pk}/change/"))
    assert "The thesis is due on Friday" in page and "GPU time today : 500 s of 600 s" in page
    fields = {"grant": "1", "amount": "300", "ends_at_0": "2099-01-01", "ends_at_1": "00:00"}
    for wrong in ({"ends_at_0": "2020-01-01"}, {"amount": "-1"}, {"amount": "many"}):
        assert admin.post(f"{REQUESTS}{asked.pk}/change/", fields | wrong).status_code == 200
    assert "Granted. ann reads it on the page." in text(
        admin.post(f"{REQUESTS}{asked.pk}/change/", fields, follow=True)
    )
    assert left(person) == [400_000]
    grant = QuotaLimit.objects.get(is_grant=True)
    assert (grant.subject_kind, grant.subject_id, grant.amount) == ("user", person.pk, 300_000)
    assert "Somebody answered it already." in text(
        admin.post(f"{REQUESTS}{asked.pk}/change/", {"refuse": "1"}, follow=True)
    )
    assert quota_requests.told(person)[0].state == "granted"


def test_open_requests_are_counted_where_an_admin_looks(admin: Client, asked: QuotaRequest) -> None:
    assert "One request for more waits for an answer" in text(admin.get("/admin/"))
    assert "One request for more Change password" in text(admin.get("/usage/"))
    member = Client()
    member.force_login(asked.user, backend=BACKEND)
    assert "request for more" not in text(member.get("/usage/"))
    address = f"{REQUESTS}{asked.pk}/change/"
    assert admin.post(address, {"refuse": "1", "answer": "x" * 301}).status_code == 200
    admin.post(address, {"refuse": "1", "answer": "The card is  booked until Monday."})
    assert "waits for an answer" not in text(admin.get("/admin/"))
    assert "The card is booked until Monday." in text(admin.get(address))
    assert quota_requests.told(asked.user)[0].answer == "The card is booked until Monday."


def test_what_all_share_grows_for_all(admin: Client, person: User) -> None:
    bob = User.objects.create_user("bob")
    limit = QuotaLimit.objects.create(subject_kind="everyone", unit="requests", window="day", amount=1)
    asked = quota_requests.ask(person, limit.pk, "")
    address = f"{REQUESTS}{asked.pk}/change/"
    assert "All who share this limit get it" in text(admin.get(address))
    admin.post(address, {"grant": "1", "amount": "4", "ends_at_0": "2099-01-01", "ends_at_1": "00:00"})
    assert (left(person), left(bob)) == ([5], [5])
