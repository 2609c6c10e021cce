"""Times the line in memory and its leader's turns over a full database, and prints two tables."""

from __future__ import annotations

import argparse
import itertools
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date

from bench import page
from chat.line import Entry, Line
from r1web.supervisor import redis_server, throwaway_postgres
from r1web.supervisor.arguments import ROOT

WAITING, RELEASES = 10_000, 2_000
PEOPLE = (100, 200, 1_000, 10_000)
MODEL = "32b"
AIM_US = 1_000
DATABASES = ("SQLite", "PostgreSQL")


def in_memory(people: int) -> tuple[float, float]:
    """µs of CPU for an entry and for a release: pick, take, two checkpoints, end. The line stays full."""
    line, costs = Line(running_per_flow=4), itertools.cycle((9_000, 1_000, 40_000, 2_500, 17_000))
    begun = time.process_time()
    for number in range(WAITING):
        line.enqueue(Entry(f"{number:06}", number % people, MODEL, cost=next(costs), seq=number))
    entry_us = (time.process_time() - begun) / WAITING * 1e6
    release_seconds = 0.0
    for number in range(WAITING, WAITING + RELEASES):
        begun = time.process_time()
        entry = line.pick(MODEL)
        assert entry is not None
        line.take(entry.key)
        line.charge(entry.key, entry.cost // 2)
        line.charge(entry.key, entry.cost + 2_000)
        line.finish(entry.key, entry.cost + 2_500)
        release_seconds += time.process_time() - begun
        line.enqueue(Entry(f"{number:06}", entry.flow, MODEL, cost=next(costs), seq=number))
    return entry_us, release_seconds / RELEASES * 1e6


@contextmanager
def services(kind: str, folder: str) -> Iterator[dict[str, str]]:
    """Settings of a fresh database and a Redis, in a temporary folder."""
    password = secrets.token_hex(8)
    words = [str(redis_server.binary()), *f"--port 0 --unixsocket {folder}/redis.sock --save".split(), ""]
    redis = subprocess.Popen([*words, "--dir", folder, "--requirepass", password], stdout=subprocess.DEVNULL)
    settings = {"REDIS_URL": f"unix://:{password}@{folder}/redis.sock?db=0"}
    try:
        if kind == "SQLite":
            yield {**settings, "DATABASE_URL": f"sqlite://{folder}/line.sqlite3"}
            return
        with throwaway_postgres.running() as url:
            yield {**settings, "DATABASE_URL": url}
    finally:
        redis.terminate()
        redis.wait(10)


def in_database(kind: str, people: int) -> dict[str, tuple[float, float]]:
    """Median ms of what the leader does, elapsed and of its CPU, by name: what bench/line_turns.py found."""
    with tempfile.TemporaryDirectory(prefix="r1l-") as folder, services(kind, folder) as settings:
        values = {
            **os.environ, **settings, "R1WEB_DATA": folder, "R1WEB_LOG_LEVEL": "ERROR",
            "DJANGO_SETTINGS_MODULE": "r1web.settings", "PYTHONPATH": str(ROOT),
        }  # fmt: skip
        words = [sys.executable, "-m", "bench.line_turns", str(people), str(WAITING)]
        done = subprocess.run(words, cwd=ROOT, env=values, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, tuple[float, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def memory_table() -> str:
    lines = ["| people | µs per entry | µs per release | aim | |", "|---|---|---|---|---|"]
    for people in PEOPLE:
        entry_us, release_us = in_memory(people)
        verdict = "met" if max(entry_us, release_us) <= AIM_US else "missed"
        lines.append(f"| {people:,} | {entry_us:.0f} | {release_us:.0f} | ≤ {AIM_US:,} | {verdict} |")
    return "\n".join(lines)


def database_table(kinds: list[str]) -> str:
    columns = {f"{kind}, {people:,} people": in_database(kind, people) for kind in kinds for people in (200, 10_000)}
    lines = [f"| ms | {' | '.join(columns)} |", "|" + "---|" * (len(columns) + 1)]
    for name in next(iter(columns.values())):
        lines.append(f"| {name} | {' | '.join('{:.0f} ({:.0f})'.format(*each[name]) for each in columns.values())} |")
    return "\n".join(lines)


def main(words: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="bench/line", description=__doc__)
    parser.add_argument("--only", choices=DATABASES, action="append")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args(words)
    head = f"Measured {date.today()} on {os.cpu_count()} cores (load average {os.getloadavg()[0]:.1f}), "
    head += (
        f"{WAITING:,} waiting. In memory CPU time; in databases medians of elapsed time (and of the leader's own CPU)."
    )
    text = f"{head}\n\n{memory_table()}\n\n{database_table(options.only or list(DATABASES))}"
    print(text)
    if options.write:
        page.write("line", text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
