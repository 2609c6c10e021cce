"""What reading an engine costs: drivers beside stock httpx and bare aiohttp, on both wires; and JSON by library."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from bench import json_libraries, page
from tests.processes import ROOT
from tests.running_engines import free_port, scripted

PACE, STREAMS, TOKENS, ROUNDS = 50, 50, 500, 3
AIM = 60  # µs of CPU a token
CLIENTS = ("httpx", "aiohttp")
WIRES = {"openai": ("vllm", "llama.cpp", *CLIENTS), "ollama": ("ollama", *CLIENTS)}
NAMES = {"openai": "OpenAI's events", "ollama": "Ollama's lines"}


@dataclass
class Row:
    """One reader on one wire; a figure of each list a round."""

    wire: str
    reader: str
    cpu: list[float] = field(default_factory=list)  # µs a token
    rate: list[float] = field(default_factory=list)  # tokens a second and stream

    @property
    def is_driver(self) -> bool:
        return self.reader not in CLIENTS

    @property
    def middle(self) -> float:
        return statistics.median(self.cpu)


def measure(rounds: int, tokens: int) -> list[Row]:
    """Round by round, so that a slow minute of the machine hits every reader."""
    rows = [Row(wire, reader) for wire, readers in WIRES.items() for reader in readers]
    with engines() as urls:
        for _ in range(rounds):
            for row in rows:
                told = _read(row, urls[row.wire], tokens)
                row.cpu.append(told["cpu_seconds"] * 1e6 / told["arrived"])
                row.rate.append(tokens / told["seconds"])
                print(f"{row.wire:<7} {row.reader:<10} {row.cpu[-1]:6.1f} µs/token", flush=True)
    return rows


@contextmanager
def engines() -> Iterator[dict[str, str]]:
    """Addresses by wire: the scripted engine, and the same words on Ollama's wire."""
    with tempfile.TemporaryDirectory(prefix="r1d-") as name:
        port = free_port()
        words = [sys.executable, "-m", "bench.ollama_engine", "--port", str(port), "--pace", str(PACE)]
        ollama = subprocess.Popen(words, cwd=ROOT)
        try:
            with scripted(Path(name), slots=STREAMS, pace=PACE) as engine:
                yield {"openai": engine.endpoint.base_url, "ollama": f"http://127.0.0.1:{port}"}
        finally:
            ollama.terminate()
            ollama.wait()


def _read(row: Row, url: str, tokens: int) -> dict[str, float]:
    words = [sys.executable, "-m", "bench.driver_reader", row.reader, "--wire", row.wire, "--url", url]
    words += ["--streams", str(STREAMS), "--tokens", str(tokens)]
    told: dict[str, float] = json.loads(subprocess.run(words, cwd=ROOT, check=True, stdout=subprocess.PIPE).stdout)
    return told


def report(rows: list[Row], tokens: int) -> str:
    """The tables in Markdown."""
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {psutil.cpu_count()} cores (load average before the end "
        f"{psutil.getloadavg()[1]:.1f}): {STREAMS} streams of {tokens} tokens at {PACE} tokens/s, medians of "
        f"{len(rows[0].cpu)}, every text whole.",
        "",
        "| wire | reader | CPU µs/token | all rounds | tokens/s and stream | times httpx / aiohttp | aim | |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        clients = [each.middle for each in rows if each.wire == row.wire and not each.is_driver]
        share = " / ".join(f"{row.middle / each:.2f}" for each in clients) if row.is_driver else "–"
        aim = f"{AIM} | {'met' if row.middle <= AIM else 'missed'}" if row.is_driver else "– | –"
        reader = f"driver {row.reader}" if row.is_driver else row.reader
        every = ", ".join(f"{figure:.0f}" for figure in row.cpu)
        rate = statistics.median(row.rate)
        lines.append(f"| {NAMES[row.wire]} | {reader} | {row.middle:.0f} | {every} | {rate:.1f} | {share} | {aim} |")
    return "\n".join([*lines, "", "One event by JSON library, µs:", "", json_libraries.report()])


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/drivers", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--tokens", type=int, default=TOKENS, help="tokens a stream")
    parser.add_argument("--write", action="store_true", help="put the tables into docs/performance.md")
    options = parser.parse_args()
    table = report(measure(options.rounds, options.tokens), options.tokens)
    print(table)
    if options.write:
        page.write("drivers", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
