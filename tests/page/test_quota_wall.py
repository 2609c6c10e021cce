"""What the chat page says of a person's limits: in time, at the wall, and after asking for more."""

from __future__ import annotations

import html
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import quota, quota_requests
from accounts.models import Group, QuotaLimit, QuotaRequest, User
from chat import claiming, errors, generation, scheduling
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, PriceRow, RateCard

BACKEND = "django.contrib.auth.backends.ModelBackend"
EVERYONE = {"subject_kind": "everyone", "is_each": True}
NOON = datetime(2026, 3, 3, 12, tzinfo=UTC)  # a Tuesday


@pytest.fixture(autouse=True)
def noon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)


@pytest.fixture
def person(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def browser(person: User) -> Client:
    found = Client()
    found.force_login(person, backend=BACKEND)
    found.cookies["time_zone"] = "Europe/Berlin"
    return found


@pytest.fixture
def models(db: None) -> dict[str, Deployment]:
    """Two of the house's own, warm; an answer of the large one takes 40 GPU s, of the small one 1. And a cloud's."""
    house = Engine.objects.create(host=fleet.local_host(), kind="vllm", base_url="http://127.0.0.1:9")
    cloud = Engine.objects.create(
        host=fleet.local_host(), kind="deepseek", base_url="https://cloud.example", is_cloud=True
    )
    wanted = (("large", house, 40_000), ("small", house, 1_000), ("far", cloud, 0))
    return {key: _deployed(key, engine, decode_us) for key, engine, decode_us in wanted}


def _deployed(key: str, engine: Engine, decode_us: int) -> Deployment:
    model = CatalogueModel.objects.create(key=key, name=f"R1 {key}")
    artifact = Artifact.objects.create(model=model, ref=key)
    made = Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=2048, slots=1, state="warm")
    RateCard.objects.create(
        deployment=made, valid_from=NOON, prefill_us_per_token=0, decode_us_per_token=decode_us, load_ms=0
    )
    return made


def take(person: User, model_key: str = "large", **amounts: int) -> None:
    key = uuid.uuid4()
    quota.reserve(user=person, token=None, generation_id=key, model_key=model_key, amounts=quota.Amounts(**amounts))
    quota.settle(key, quota.Amounts(**amounts))


def look(browser: Client, **asked: Any) -> str:
    return browser.get("/limits/", {"model": "large"} | asked).content.decode()


def text(page: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page)).split())


def test_a_warning_comes_at_four_fifths_in_the_readers_time(
    browser: Client, person: User, models: dict[str, Deployment]
) -> None:
    QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=600_000)
    take(person, gpu_ms=479_000)
    assert "data-warning" not in look(browser)
    take(person, gpu_ms=1_000)
    # Midnight of UTC is one o'clock in Berlin.
    warned = 'data-warning="GPU time today: 120 s of 600 s left, full again tomorrow at 01:00"'
    assert warned in look(browser) and warned in browser.get("/?model=large").content.decode()
    assert "data-wall" not in look(browser)


def test_the_wall_tells_which_limit_what_is_left_and_what_works(
    browser: Client, person: User, models: dict[str, Deployment]
) -> None:
    QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=600_000, model_key="large")
    QuotaLimit.objects.create(**EVERYONE, unit="output_tokens", window="week", amount=500_000)
    QuotaLimit.objects.create(**EVERYONE, unit="requests", window="hour", amount=60)
    take(person, gpu_ms=600_000, output_tokens=212_000)
    seen = text(look(browser))
    for sentence in (
        "Today’s GPU time is used up Full again tomorrow at 01:00, in 12 h 0 min",
        "Your draft is kept below. Answers that are already running will finish.",
        "GPU time today, R1 large 600 / 600 s",
        "nothing left",
        "Tokens this week 212,000 / 500,000",
        "288,000 left, full again on Monday at 01:00",
        "Questions this hour 1 / 60",
        "R1 small is ready now and within your limits.",
    ):
        assert sentence in seen
    assert 'data-send-to="small"' in look(browser) and "data-send-to" not in look(browser, model="small")
    assert "R1 far" not in seen, "a cloud that he may not use"


def test_a_used_up_card_leaves_the_cloud_and_an_empty_budget_the_card(
    browser: Client, person: User, models: dict[str, Deployment]
) -> None:
    person.main_group = Group.objects.create(name="lab", may_use_cloud=True)
    person.save()
    PriceRow.objects.create(model_name="far", valid_from=NOON, cached_micro=0, prompt_micro=0, output_micro=1_000_000)
    budget = QuotaLimit.objects.create(**EVERYONE, unit="cost_micro", window="month", amount=0)
    assert "data-wall" not in look(browser) and "data-wall" in look(browser, model="far")
    budget.delete()
    QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=1_000)
    take(person, gpu_ms=1_000)
    page = look(browser)
    assert "Cloud money" not in text(page)
    assert 'data-send-to="far"' in page and "data-wall" not in look(browser, model="far")


def test_a_cloud_without_a_price_is_not_asked_where_money_is_limited(
    browser: Client, person: User, models: dict[str, Deployment]
) -> None:
    person.main_group = Group.objects.create(name="lab", may_use_cloud=True)
    person.save()
    wish = generation.Ask(key=uuid.uuid4(), text="hello", model="far")
    generation.stop(generation.submit(person, wish).generation, by=person)  # nothing is limited yet
    QuotaLimit.objects.create(**EVERYONE, unit="cost_micro", window="month", amount=5_000_000)
    with pytest.raises(errors.NoPrice):
        generation.submit(person, replace(wish, key=uuid.uuid4()))
    seen = text(look(browser, model="far"))
    assert "This model has no price yet “Cloud money this month” is limited" in seen and "an admin can add it" in seen
    assert "R1 large is ready now and within your limits." in seen and "Ask for more" not in seen
    assert 'data-send-to="far"' not in look(browser)
    User.objects.update(is_superuser=True, is_staff=True)
    assert "/admin/models_admin/pricerow/add/?engine_kind=deepseek&model_name=far" in html.unescape(
        look(browser, model="far")
    )
    PriceRow.objects.create(model_name="far", valid_from=NOON, cached_micro=0, prompt_micro=0, output_micro=1_000_000)
    assert "data-wall" not in look(browser, model="far")
    made = generation.submit(person, replace(wish, key=uuid.uuid4()))
    PriceRow.objects.all().delete()
    scheduling.release_what_can_run()
    with pytest.raises(claiming.NotAllowed, match="no_price"):
        claiming.claim(made.generation, 1, fleet.register_worker("w").pk)


def test_too_little_and_too_large_are_told_apart(browser: Client, person: User, models: dict[str, Deployment]) -> None:
    limit = QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=600_000)
    take(person, gpu_ms=588_000)
    assert "data-wall" not in look(browser)
    seen = text(look(browser, limit=limit.pk, needs=40_000))
    assert "Too little is left for this question" in seen and "It takes about 40 s, and 12 s are left." in seen
    seen = text(look(browser, limit=limit.pk, needs=700_000))
    assert "This question is larger than the limit" in seen and "and the limit is 600 s" in seen
    assert "Full again" not in seen.split("What still works")[0].split("GPU time today")[0]
    for nonsense in ({"limit": "x", "needs": "9" * 40}, {"limit": limit.pk, "needs": "-1"}, {"conversation": "1"}):
        assert "data-wall" not in look(browser, **nonsense)


def test_what_went_over_before_is_told_as_part_of_what_is_gone(
    browser: Client, person: User, models: dict[str, Deployment], monkeypatch: pytest.MonkeyPatch
) -> None:
    QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=600_000)
    QuotaLimit.objects.create(**EVERYONE, unit="requests", window="day", amount=1)
    key = uuid.uuid4()
    amounts = quota.Amounts(gpu_ms=500_000)
    quota.reserve(user=person, token=None, generation_id=key, model_key="large", amounts=amounts)
    quota.settle(key, quota.Amounts(gpu_ms=720_000))
    monkeypatch.setattr(timezone, "now", lambda: NOON + timedelta(days=1))
    take(person, gpu_ms=0)
    seen = text(look(browser))
    assert "GPU time today 120 / 600 s" in seen and "480 s left, full again tomorrow at 01:00" in seen
    assert "120 s paid for what went over before" in seen


def test_as_many_as_may_be_open_says_so(browser: Client, person: User, models: dict[str, Deployment]) -> None:
    limit = QuotaLimit.objects.create(**EVERYONE, unit="running", window="day", amount=1)
    quota.reserve(user=person, token=None, generation_id=uuid.uuid4(), model_key="large", amounts=quota.Amounts())
    assert "data-wall" not in look(browser), "it ends by itself"
    seen = text(look(browser, limit=limit.pk, needs=1))
    assert "You have as many answers open as you may There is room as soon as one of them has ended" in seen


def test_asking_for_more_reaches_the_admin_and_the_answer_comes_back(
    browser: Client, person: User, models: dict[str, Deployment]
) -> None:
    limit = QuotaLimit.objects.create(**EVERYONE, unit="gpu_ms", window="day", amount=1_000)
    take(person, gpu_ms=1_000)
    assert "Ask for more" in look(browser)
    for reason in ("once", "  The thesis is due\x00 on Friday "):
        assert browser.post("/limits/ask/", {"limit": limit.pk, "reason": reason}).status_code == 204
    row = QuotaRequest.objects.get()
    assert row.reason == "The thesis is due on Friday" and quota_requests.usage(row)[0].used == 1_000
    assert "You asked for more." in look(browser) and "Ask for more" not in look(browser)
    quota_requests.grant(row, amount=60_000, ends_at=NOON + timedelta(days=4), by="root")
    page = look(browser)
    assert (
        "An admin granted more until March 7, 13:00. GPU time today: 60 s on top." in text(page)
        and "data-wall" not in page
    )
    browser.post("/limits/read/", {"request": row.pk})
    assert "An admin" not in look(browser)


def test_a_refusal_is_told_and_one_may_ask_again(browser: Client, person: User, models: dict[str, Deployment]) -> None:
    limit = QuotaLimit.objects.create(**EVERYONE, unit="requests", window="day", amount=0)
    other = QuotaLimit.objects.create(
        subject_kind="user", subject_id=person.pk + 1, unit="requests", window="day", amount=0
    )
    browser.post("/limits/ask/", {"limit": limit.pk})
    assert browser.post("/limits/ask/", {"limit": other.pk}).status_code == 404
    quota_requests.refuse(QuotaRequest.objects.get(), by="root", answer="Ask again on Monday.")
    seen = text(look(browser))
    assert "An admin did not grant more: Questions today. Ask again on Monday." in seen and "Ask for more" in seen
    assert "An admin has set this limit to nothing." in seen and "Full again" not in seen
    assert browser.post("/limits/ask/", {"limit": limit.pk}).status_code == 204
