"""`pytest --engine vllm`: the tests against a real engine, and only those; without it they don't exist.

A test is one of an engine if it asks for the fixture of that name, or if its fixture `engine` is parametrised with
the name: `params=["llama", "vllm", "sglang"]`, then `request.getfixturevalue(request.param)`.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import running_engines
from tests.running_engines import RunningEngine

ENGINES = ("vllm", "sglang")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--engine",
        action="append",
        choices=ENGINES,
        default=[],
        help="run the tests against this real engine only; may be given twice",
    )
    parser.addoption(
        "--write-table", action="store_true", help="write what the contract's runs see into docs/engines.md"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    chosen = set(config.getoption("--engine"))
    kept: list[pytest.Item] = []
    left_out: list[pytest.Item] = []
    for item in items:
        asked = _engines_of(item)
        (kept if asked <= chosen and bool(asked) == bool(chosen) else left_out).append(item)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = kept


def _engines_of(item: pytest.Item) -> set[str]:
    callspec = getattr(item, "callspec", None)
    asked = {*getattr(item, "fixturenames", ()), callspec.params.get("engine") if callspec else None}
    return asked.intersection(ENGINES)


@pytest.fixture(scope="session")
def vllm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    with running_engines.vllm(tmp_path_factory.mktemp("vllm")) as engine:
        yield engine


@pytest.fixture(scope="session")
def sglang(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    with running_engines.sglang(tmp_path_factory.mktemp("sglang")) as engine:
        yield engine
