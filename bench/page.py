"""Puts a table between its marks in docs/performance.md."""

from __future__ import annotations

from pathlib import Path

PAGE = Path(__file__).resolve().parent.parent / "docs" / "performance.md"


def write(bench: str, table: str) -> None:
    """Replace what lies between the marks of `bench`. Raises ValueError where the page has none."""
    begin, end = f"<!-- bench/{bench} begins -->", f"<!-- bench/{bench} ends -->"
    text = PAGE.read_text()
    at, after = text.index(begin), text.index(end)
    PAGE.write_text(f"{text[:at]}{begin}\n{table}\n{text[after:]}")
