"""Fills a year of a busy box into SQLite and PostgreSQL, rolls it up, opens the pages, and prints a table."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from typing import Any

from bench import page
from r1web.supervisor import throwaway_postgres
from r1web.supervisor.arguments import ROOT

ENTRIES = 5_000_000
AIM_MS = 200
DATABASES = ("SQLite", "PostgreSQL")


@contextmanager
def database(kind: str, folder: str) -> Iterator[dict[str, str]]:
    """Settings of a fresh one in a temporary folder."""
    if kind == "SQLite":
        yield {"DATABASE_URL": f"sqlite://{folder}/year.sqlite3"}
        return
    with throwaway_postgres.running() as url:
        yield {"DATABASE_URL": url}


def year(kind: str, entries: int) -> dict[str, Any]:
    """What bench/usage_year.py found."""
    with tempfile.TemporaryDirectory(prefix="r1web-usage-") as folder, database(kind, folder) as settings:
        values = {
            **os.environ, **settings, "R1WEB_DATA": folder, "R1WEB_HOSTS": "testserver", "R1WEB_LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "r1web.settings", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        collect = [sys.executable, "manage.py", "collectstatic", "--noinput", "--verbosity=0"]
        subprocess.run(collect, cwd=ROOT, env=values, check=True)
        words = [sys.executable, "-m", "bench.usage_year", str(entries)]
        done = subprocess.run(words, cwd=ROOT, env=values, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def table(years: dict[str, dict[str, Any]]) -> str:
    """Markdown: median and slowest of the readings, in ms."""
    lines = [
        f"| page | {' | '.join(f'{kind} ms (slowest)' for kind in years)} | aim | |",
        "|" + "---|" * (len(years) + 3),
    ]
    for name in next(iter(years.values()))["pages"]:
        cells = [f"{each['pages'][name]:.0f} ({each['slowest'][name]:.0f})" for each in years.values()]
        is_met = all(each["pages"][name] < AIM_MS for each in years.values())
        lines.append(f"| {name} | {' | '.join(cells)} | < {AIM_MS} | {'met' if is_met else 'missed'} |")
    sweeps = " | ".join(f"{each['sweep_ms']:.0f}" for each in years.values())
    rates = " | ".join(f"{each['entries'] / each['rolled_up_seconds']:,.0f}" for each in years.values())
    lines += [f"| a sweep of 50 new entries | {sweeps} | – | |", f"| entries rolled up per second | {rates} | – | |"]
    return "\n".join(lines)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/usage", description=__doc__)
    parser.add_argument("--entries", type=int, default=ENTRIES)
    parser.add_argument("--only", choices=DATABASES, action="append")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args(words)
    years = {kind: year(kind, options.entries) for kind in options.only or DATABASES}
    text = table(years)
    rows = next(iter(years.values()))["rows"]
    head = f"Measured {date.today()} on {os.cpu_count()} cores (load average before the end {os.getloadavg()[0]:.1f}): "
    head += f"{options.entries:,} ledger entries of a year, {rows:,} roll-up rows of people."
    print(f"{head}\n\n{text}")
    if options.write:
        page.write("usage", f"{head}\n\n{text}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
