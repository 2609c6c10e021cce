"""Roll-ups as a table for other programs: plain numbers, English names, one line for a day, model and door."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from uuid import UUID

from accounts.models import UsageDay

COLUMNS = (
    *("day", "model_key", "source", "requests", "prompt_tokens", "cached_tokens", "thinking_tokens", "answer_tokens"),
    *("unsent_thinking_tokens", "waiting_ms", "gpu_ms_charged", "gpu_ms_measured", "cost_micro", "currency"),
)
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def lines(rows: Iterable[UsageDay], people: Mapping[UUID, str] | None = None) -> Iterator[str]:
    """`people` adds who it was: a name, '' once deleted, and the number that stands for him in the ledger."""
    extra = () if people is None else ("person", "ledger_id")
    yield _line([*extra, *COLUMNS])
    for row in rows:
        who = () if people is None else (people.get(row.ledger_id, ""), row.ledger_id)
        yield _line([*who, *(getattr(row, name) for name in COLUMNS)])


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out).writerow(_cell(cell) for cell in cells)
    return out.getvalue()


def _cell(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell
