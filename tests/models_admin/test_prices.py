"""What a cloud's answer costs: by the row and the part of the day that were valid when it began."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.family import prices
from models_admin.models import PriceRow

KIND = "deepseek"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("moment", "is_peak"),
    [
        ("2026-11-25T00:59:59", False),
        ("2026-11-25T01:00:00", True),
        ("2026-11-25T03:59:59", True),
        ("2026-11-25T04:00:00", False),
        ("2026-11-25T06:00:00", True),
        ("2026-11-25T10:00:00", False),
        ("2026-11-28T02:00:00", False),  # Saturday
    ],
)
def test_peak_hours_are_those_of_weekdays_in_utc(moment: str, is_peak: bool) -> None:
    assert prices.is_peak(at(moment)) is is_peak


@pytest.mark.django_db
def test_the_known_prices_are_added_once_and_corrections_stay() -> None:
    assert prices.add_known(KIND) == 4
    PriceRow.objects.filter(tier="peak").update(prompt_micro=7)
    assert prices.add_known(KIND) == 0
    row = prices.price_at(KIND, "deepseek-flash", at("2026-11-25T02:00:00"))
    assert row is not None and row.prompt_micro == 7
    row = prices.price_at(KIND, "deepseek-flash", at("2026-11-25T05:00:00"))
    assert row is not None and (row.cached_micro, row.prompt_micro, row.output_micro) == (3000, 150_000, 600_000)


@pytest.mark.django_db
def test_a_row_counts_from_its_first_moment_to_its_last() -> None:
    fields = {"engine_kind": KIND, "model_name": "m", "cached_micro": 1, "output_micro": 3}
    PriceRow.objects.create(**fields, valid_from=at("2026-01-01"), valid_to=at("2026-03-01"), prompt_micro=10)
    PriceRow.objects.create(**fields, valid_from=at("2026-02-01"), valid_to=at("2026-02-15"), prompt_micro=20)

    def price(day: str) -> int | None:
        row = prices.price_at(KIND, "m", at(day))
        return row.prompt_micro if row else None

    days = ("2025-12-31", "2026-01-01", "2026-02-01", "2026-02-15", "2026-03-01")
    assert [price(day) for day in days] == [None, 10, 20, 10, None]


def test_nothing_known_costs_nothing() -> None:
    assert prices.cost(None, prompt_tokens=10, cached_tokens=0, output_tokens=10) == prices.Cost()


TOKENS = st.integers(0, 10**6)


@given(TOKENS, TOKENS, TOKENS)
def test_a_cost_is_the_sum_of_its_parts_to_the_millionth(prompt: int, cached: int, output: int) -> None:
    row = PriceRow(cached_micro=3000, prompt_micro=150_000, output_micro=600_000, currency="USD")
    found = prices.cost(row, prompt_tokens=prompt + cached, cached_tokens=cached, output_tokens=output)
    exact = prompt * 0.15 + cached * 0.003 + output * 0.6
    assert abs(found.micro - exact) <= 0.51
