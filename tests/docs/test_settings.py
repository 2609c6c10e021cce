"""docs/settings.md names every variable that the site reads, and no other, each with its default."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/settings.md").read_text()
# variable: (unit, default)
TOLD = {
    name: (unit.strip(), default.strip().strip("`"))
    for name, unit, default in re.findall(r"^\| `(\w+)`[ *]*\|([^|]*)\|([^|]*)\|", PAGE, re.MULTILINE)
}


def read() -> dict[str, ast.expr]:
    """Every variable of r1web/settings.py with the expression of its default."""
    found = {}
    for node in ast.walk(ast.parse((ROOT / "r1web/settings.py").read_text())):
        if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and len(node.args) == 2):
            continue
        name, default = node.args
        if isinstance(node.func.value, ast.Name) and node.func.value.id == "env" and isinstance(name, ast.Constant):
            found[str(name.value)] = default
    return found


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    assert set(read()) == set(TOLD)


@pytest.mark.parametrize("name", sorted(TOLD))
def test_every_setting_has_a_unit(name: str) -> None:
    assert TOLD[name][0]


# bin/up always sets REDIS_URL; the page tells what it sets.
SET_BY_BIN_UP = {"REDIS_URL"}
FIXED = sorted(name for name, value in read().items() if isinstance(value, ast.Constant) and name not in SET_BY_BIN_UP)


@pytest.mark.parametrize("name", FIXED)
def test_every_default_is_the_one_in_the_code(name: str) -> None:
    default = read()[name]
    assert isinstance(default, ast.Constant)
    value = default.value
    assert TOLD[name][1] == str(int(value) if isinstance(value, bool) else value)
