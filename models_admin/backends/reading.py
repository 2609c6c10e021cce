"""Reading JSON that somebody else wrote: the value where it has the expected type, else nothing."""

from __future__ import annotations

from typing import Any

# A figure beyond this is no count of tokens or bytes, and would not fit into a database either.
_MAX_INTEGER = 2**63 - 1
_MAX_COUNT = 2**31 - 1


def text(value: object) -> str:
    """PostgreSQL stores no NUL: it becomes U+FFFD."""
    if not isinstance(value, str):
        return ""
    return value.replace("\0", "\ufffd") if "\0" in value else value


def integer(value: object) -> int | None:
    """A whole number ≥ 0; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= _MAX_INTEGER:
        return None
    return value


def number(value: object) -> float | None:
    """A number of a size that calculates; None for everything else."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MAX_INTEGER:
        return None
    return float(value)


def whole(value: float) -> int:
    """A count or a time that an engine told, within what a column of the database holds."""
    return round(min(max(value, 0), _MAX_COUNT))


def fields_of(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def rows_of(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects of a list; whatever else stands in it is left out."""
    rows = answer.get(name)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
