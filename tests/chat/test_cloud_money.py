"""A cloud's money: by the price that was valid at release, whatever an admin does meanwhile, and never unbounded."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import LedgerEntry, User
from chat import claiming, generation, scheduling, settlement
from chat.generation import Ask
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Deployment, Engine, PriceRow

Make = Callable[..., Ask]
PRICES = "/admin/models_admin/pricerow/"
DONE = Outcome(state="done", reason="", thinking="", text="46", last_seq=1, answer_tokens=1_000_000, has_token=True)


@pytest.fixture(autouse=True)
def cloud(deployment: Deployment) -> None:
    Engine.objects.update(kind="deepseek", is_cloud=True)


@pytest.fixture
def root(db: None) -> User:
    return User.objects.create_superuser("root")


@pytest.fixture
def admin(root: User) -> Client:
    browser = Client()
    browser.force_login(root, backend="django.contrib.auth.backends.ModelBackend")
    return browser


@pytest.fixture
def price(db: None) -> PriceRow:
    """2 USD for a million tokens written."""
    since = timezone.now() - timedelta(days=9)
    fields = {"engine_kind": "deepseek", "model_name": "known", "cached_micro": 0, "prompt_micro": 0}
    return PriceRow.objects.create(**fields, valid_from=since, output_micro=2_000_000)


def form(price: PriceRow, **fields: Any) -> dict[str, Any]:
    """The row, a hundredth of a cent for the prompt, as an admin types it."""
    names = ("engine_kind", "model_name", "tier", "currency")
    money = {"cached_micro": "0", "prompt_micro": "0.0001", "output_micro": "2"}
    begin = {"valid_from_0": f"{price.valid_from:%Y-%m-%d}", "valid_from_1": f"{price.valid_from:%H:%M:%S}"}
    return (
        {name: getattr(price, name) for name in names} | money | begin | {"valid_to_0": "", "valid_to_1": ""} | fields
    )


def test_a_price_that_changes_in_mid_answer_is_the_next_answers(
    root: User, admin: Client, price: PriceRow, ask: Make
) -> None:
    made = generation.submit(root, ask())
    scheduling.release_what_can_run()
    worker = fleet.register_worker("w").pk
    assert claiming.claim(made.generation, 1, worker)
    address = f"{PRICES}{price.pk}/change/"
    assert "It has begun, and answers are charged by it" in admin.get(address).content.decode()
    admin.post(address, form(price, output_micro=9))
    yesterday = timezone.now() - timedelta(days=1)
    replaced = form(price, output_micro="9.5", valid_from_0=f"{yesterday:%Y-%m-%d}")
    assert admin.post(f"{PRICES}add/", replaced).status_code == 302
    assert admin.post(f"{PRICES}{price.pk}/delete/", {"post": "yes"}).status_code == 403
    assert settlement.settle(made.generation, 1, worker, DONE)
    assert LedgerEntry.objects.values_list("cost_micro", "price_row_id").get() == (2_000_000, price.pk)
    assert sorted(PriceRow.objects.values_list("output_micro", flat=True)) == [2_000_000, 9_500_000]


def test_prices_are_typed_and_read_in_money(admin: Client, price: PriceRow) -> None:
    begin = {"valid_from_0": "2099-01-01"}
    assert admin.post(f"{PRICES}add/", form(price, output_micro="0.0000001") | begin).status_code == 200
    admin.post(f"{PRICES}add/", form(price) | begin)
    made = PriceRow.objects.latest("pk")
    assert (made.cached_micro, made.prompt_micro, made.output_micro) == (0, 100, 2_000_000)
    page = admin.get(f"{PRICES}{made.pk}/change/").content.decode()
    assert 'value="0.0001"' in page and 'value="2"' in page and "Millionths" not in page
    begun = admin.get(f"{PRICES}{price.pk}/change/").content.decode()
    assert "2000000" not in begun and '<div class="readonly">2</div>' in begun


def test_a_price_in_use_may_end_but_not_in_the_past(admin: Client, price: PriceRow) -> None:
    for days, status in ((-1, 200), (1, 302)):
        end = timezone.now() + timedelta(days=days)
        answer = admin.post(f"{PRICES}{price.pk}/change/", {"valid_to_0": f"{end:%Y-%m-%d}", "valid_to_1": "00:00:00"})
        assert answer.status_code == status
    price.refresh_from_db()
    assert price.valid_to and price.valid_to > timezone.now()


def test_a_row_for_a_time_that_is_over_may_be_added(admin: Client, price: PriceRow) -> None:
    over = {
        f"valid_{end}_0": f"{timezone.now() - timedelta(days=days):%Y-%m-%d}" for end, days in (("from", 8), ("to", 7))
    }
    answer = admin.post(f"{PRICES}add/", form(price, **over, valid_to_1="00:00:00"))
    assert answer.status_code == 302 and PriceRow.objects.filter(valid_to__lt=timezone.now()).exists()
