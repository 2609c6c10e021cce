"""Units as people read and enter them: GPU seconds and whole money, where tables hold thousandths and millionths."""

from __future__ import annotations

from decimal import Decimal

SCALE = {"gpu_ms": 1_000, "cost_micro": 1_000_000}


def for_people(unit: str, amount: int) -> Decimal:
    return Decimal(amount) / SCALE.get(unit, 1)


def for_tables(unit: str, shown: Decimal) -> int:
    return int((shown * SCALE.get(unit, 1)).to_integral_value())
