"""The table driver × promise of docs/engines.md, out of what the contract's runs have shown."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from django.utils import translation

from models_admin.backends.contract import PROMISES
from models_admin.backends.drivers import DRIVERS
from models_admin.engines.promise_words import PROMISE_WORDS
from tests.backends.contract_runs import BENCHES, Seen, contract_of

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "engines.md"
REAL_RUNS = Path(__file__).with_name("real_runs.json")
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
_RANK = ("real", "recorded", "documented")
# Promises without a capability, where an engine has nothing to promise: only a cloud has an account, llama.cpp and
# unknown engines hold every question without a bound or a word.
_NOT_POSSIBLE = {
    "out_of_credit": frozenset(DRIVERS) - {"deepseek"},
    "overloaded": frozenset({"llama.cpp", "openai-compatible"}),
}


@dataclass(frozen=True)
class RealRun:
    """What an opt-in run against a real engine saw: its version, the day, the promises kept."""

    version: str
    day: str
    kept: list[str] = field(default_factory=list)


def real_runs() -> dict[str, RealRun]:
    return {kind: RealRun(**row) for kind, row in json.loads(REAL_RUNS.read_text()).items()}


def keep_real_run(kind: str, run: RealRun) -> None:
    runs = {**real_runs(), kind: run}
    REAL_RUNS.write_text(json.dumps({name: asdict(row) for name, row in sorted(runs.items())}, indent=1) + "\n")


def write() -> None:
    """Put the table into the page, with whatever the runs of this session have shown."""
    head, _, rest = PAGE.read_text().partition(BEGIN)
    PAGE.write_text(f"{head}{BEGIN}\n{table()}{END}{rest.partition(END)[2]}")


def stored() -> str:
    return PAGE.read_text().partition(BEGIN)[2].partition(END)[0].lstrip("\n")


def table() -> str:
    cells = _cells()
    kinds = list(DRIVERS)
    lines = [f"| | {' | '.join(kinds)} |", f"|---|{'---|' * len(kinds)}"]
    with translation.override("en"):
        for key, words in PROMISE_WORDS.items():
            lines.append(f"| {words} | {' | '.join(cells[kind, key] for kind in kinds)} |")
    runs = (f"{kind} {run.version} on {run.day}" for kind, run in sorted(real_runs().items()))
    lines += ["", f"Real servers of the opt-in runs: {', '.join(runs)}.", ""]
    return "\n".join(lines)


def _cells() -> dict[tuple[str, str], str]:
    found: dict[tuple[str, str], str] = {}
    runs = real_runs()
    for kind in DRIVERS:
        ours = [contract_of(name) for name, bench in BENCHES.items() if bench.kind == kind]
        for key in PROMISE_WORDS:
            is_real = kind in runs and key in runs[kind].kept
            found[kind, key] = "real" if is_real else _cell(kind, key, [seen[key] for seen in ours if key in seen])
    return found


def _cell(kind: str, key: str, seen: list[Seen]) -> str:
    needs = next((promise.needs for promise in PROMISES if promise.key == key), "")
    if kind in _NOT_POSSIBLE.get(key, ()) or (needs and not getattr(DRIVERS[kind].capabilities, needs)):
        return "not possible"
    kept = {each.evidence for each in seen if each.result.verdict == "kept"}
    return next((evidence for evidence in _RANK if evidence in kept), "not seen")
