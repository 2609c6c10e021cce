"""The contract of models_admin/backends/contract.py over all drivers, and the table that comes of it."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from models_admin.backends.base import Loads, Pulls
from models_admin.backends.contract import PROMISES
from models_admin.backends.drivers import DRIVERS
from models_admin.engines.promise_words import PROMISE_WORDS
from tests.backends import table
from tests.backends.contract_runs import BENCHES, contract_of, contract_of_real
from tests.running_engines import RunningEngine

RUNS = [(name, promise.key) for name, bench in BENCHES.items() for promise in PROMISES
        if promise.key not in bench.leaves_out]  # fmt: skip


@pytest.mark.parametrize(("bench", "promise"), RUNS)
def test_every_driver_keeps_its_promises(bench: str, promise: str) -> None:
    result = contract_of(bench)[promise].result
    assert result.verdict != "broken", result.detail


@pytest.mark.parametrize("bench", BENCHES)
def test_what_was_brought_about_is_told_as_it_is(bench: str) -> None:
    extras = {key: seen for key, seen in contract_of(bench).items() if (bench, key) not in RUNS}
    assert not {key: seen.result.detail for key, seen in extras.items() if seen.result.verdict != "kept"}


@pytest.mark.parametrize("engine", ["vllm", "sglang"])
def test_a_real_engine_keeps_its_promises(engine: str, request: pytest.FixtureRequest) -> None:
    running: RunningEngine = request.getfixturevalue(engine)
    seen = contract_of_real(running)
    broken = {key: each.result.detail for key, each in seen.items() if each.result.verdict == "broken"}
    kept = [key for key, each in seen.items() if each.result.verdict == "kept"]
    print(f"\n{engine}: kept {', '.join(kept)}")
    assert not broken
    if request.config.getoption("--write-table"):
        version = str(running.get("/version" if engine == "vllm" else "/v1/loads")["version"])
        table.keep_real_run(engine, table.RealRun(version, datetime.now(UTC).date().isoformat(), kept))


def test_the_table_in_the_docs_is_what_was_seen(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--write-table"):
        table.write()
    assert table.stored() == table.table(), "pytest tests/backends/test_contract.py --write-table writes it"


def test_every_possible_cell_of_llama_cpp_is_real() -> None:
    rows = [row.split(" | ") for row in table.stored().splitlines() if row.startswith("| ")]
    column = rows[0].index("llama.cpp")
    assert {row[column] for row in rows[1:]} == {"real", "not possible"}


def test_capabilities_are_what_the_drivers_have_methods_for() -> None:
    for kind, driver in DRIVERS.items():
        assert issubclass(driver, Loads) is driver.capabilities.load, kind
        assert issubclass(driver, Pulls) is driver.capabilities.pull, kind


def test_every_promise_has_words() -> None:
    assert {promise.key for promise in PROMISES} <= set(PROMISE_WORDS)
