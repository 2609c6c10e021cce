"""What a cloud's answer costs: by the price row that was valid when it was released. Pure but for one query."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, time
from pathlib import Path

import msgspec
from django.db.models import Q

from models_admin.models import Deployment, PriceRow

Tier = PriceRow.Tier
_MILLION = 1_000_000
_KNOWN = Path(__file__).with_name("prices.json")
# DeepSeek's peak hours in UTC, Monday to Friday; on Chinese public holidays it charges off-peak, which is not known
# here: such a day is charged too high rather than too low. https://api-docs.deepseek.com/quick_start/pricing
_PEAKS = ((time(1), time(4)), (time(6), time(10)))


class KnownPrice(msgspec.Struct, frozen=True):
    """A row of prices.json: US dollars per million tokens, in millionths."""

    model: str
    valid_from: datetime
    tier: str
    cached_micro: int
    prompt_micro: int
    output_micro: int


@dataclass(frozen=True)
class Cost:
    """Millionths of `currency`; both empty where no price is known."""

    micro: int = 0
    currency: str = ""


def is_peak(moment: datetime) -> bool:
    at = moment.astimezone(UTC)
    return at.weekday() < 5 and any(begin <= at.time() < end for begin, end in _PEAKS)


def of(deployment: Deployment, moment: datetime) -> PriceRow | None:
    """What answers of a deployment cost that are released then; None for the site's own, and where no row is valid."""
    if not deployment.engine.is_cloud:
        return None
    return price_at(deployment.engine.kind, deployment.artifact.ref, moment)


def price_at(engine_kind: str, model_name: str, moment: datetime) -> PriceRow | None:
    """The row that is valid then; a row of the very part of the day goes before one for all day."""
    tier = Tier.PEAK if is_peak(moment) else Tier.OFF_PEAK
    rows = PriceRow.objects.filter(engine_kind=engine_kind, model_name=model_name, valid_from__lte=moment)
    rows = rows.filter(Q(valid_to__isnull=True) | Q(valid_to__gt=moment), tier__in=[tier, Tier.ALWAYS])
    return max(rows, key=lambda row: (row.valid_from, row.tier != Tier.ALWAYS), default=None)


def cost(row: PriceRow | None, *, prompt_tokens: int, cached_tokens: int, output_tokens: int) -> Cost:
    """Thinking is output. Rounded to the nearest millionth, halves up: sums stay within one millionth an answer."""
    if row is None:
        return Cost()
    parts = (prompt_tokens - cached_tokens) * row.prompt_micro + cached_tokens * row.cached_micro
    parts += output_tokens * row.output_micro
    return Cost((parts + _MILLION // 2) // _MILLION, row.currency)


def known_prices() -> list[KnownPrice]:
    """What DeepSeek's price page said in November 2026; a start, for admins to correct."""
    return msgspec.json.decode(_KNOWN.read_bytes(), type=list[KnownPrice])


def add_known(engine_kind: str) -> int:
    """Rows for the known prices, where there are none yet for the model; returns how many were added."""
    priced = set(PriceRow.objects.filter(engine_kind=engine_kind).values_list("model_name", flat=True))
    rows = [
        PriceRow(
            engine_kind=engine_kind,
            model_name=known.model,
            valid_from=known.valid_from,
            tier=known.tier,
            cached_micro=known.cached_micro,
            prompt_micro=known.prompt_micro,
            output_micro=known.output_micro,
        )
        for known in known_prices()
        if known.model not in priced
    ]
    return len(PriceRow.objects.bulk_create(rows))
