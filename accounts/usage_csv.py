"""Roll-ups as a table for spreadsheets and programs: plain numbers, English names, a line for a day, model and door.

First what people read: seconds and money as exact decimals. Behind it the same as whole numbers of the tables.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from uuid import UUID

from accounts import model_names
from accounts.models import UsageDay

COUNTS = ("requests", "prompt_tokens", "cached_tokens", "thinking_tokens", "answer_tokens", "unsent_thinking_tokens")
WHOLE = ("waiting_ms", "gpu_ms_charged", "gpu_ms_measured", "cost_micro")
COLUMNS = (
    *("day", "model", "model_key", "source", *COUNTS),
    *("waiting_seconds", "gpu_seconds", "gpu_seconds_measured", "cost", "currency", *WHOLE),
)
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[UsageDay], people: Mapping[UUID, str] | None = None) -> Iterator[str]:
    """`people` adds who it was: a name, '' once deleted, and the number that stands for him in the ledger."""
    extra, names = () if people is None else ("person", "ledger_id"), model_names.names()
    yield _line([*extra, *COLUMNS])
    for row in rows:
        who = () if people is None else (people.get(row.ledger_id, ""), row.ledger_id)
        yield _line([*who, *_cells(row, names.get(row.model_key, row.model_key))])


def _cells(row: UsageDay, name: str) -> Iterator[object]:
    yield from (row.day, name, row.model_key, row.source)
    yield from (getattr(row, count) for count in COUNTS)
    yield from (Decimal(each).scaleb(-3) for each in (row.waiting_ms, row.gpu_ms_charged, row.gpu_ms_measured))
    yield from (Decimal(row.cost_micro).scaleb(-6), row.currency)
    yield from (getattr(row, whole) for whole in WHOLE)


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(_cell(cell) for cell in cells)
    return out.getvalue()


def _cell(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
