"""A pull beside a plain download of the same file, in turn: bytes/s, and the most memory that the pull took.

The plain download is curl writing to a file, without a checksum; the pull hashes every byte. Both end when the bytes
are on the disk (fsync), in the same folder. The server is on loopback: it takes processor time from both.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT, Process, until
from tests.running_engines import free_port

GIGA = 1_000_000_000
FILE = "sparse.gguf"
LEAST_SHARE, MOST_BYTES = 0.8, 64_000_000
PULL = """
import asyncio, sys, uvloop
from pathlib import Path
from models_admin.pulls import fetching
from models_admin.backends.registry import Registries
from models_admin.orders.pull_orders import PullOrder, Wanted
from models_admin.pulls.pull_sources import Place
url, folder, sha256, size = sys.argv[1:]
ends = []
def report(told):
    ends.append(told.end)
    return True
place = Place(Path(folder), Registries(hugging_face=url))
order = PullOrder(1, 1, Wanted("gguf", "o/m/sparse.gguf", sha256, int(size)))
with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
    runner.run(fetching.pull(order, place, report))
assert ends[-1].verified, ends[-1]
"""


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--gigabytes", type=float, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    size = int(options.gigabytes * GIGA)
    with tempfile.TemporaryDirectory(prefix="r1-bench-pull-") as name:
        return measure(Path(name), size, options.rounds)


def measure(folder: Path, size: int, rounds: int) -> int:
    source = folder / FILE
    with source.open("wb") as file:
        file.truncate(size)
    sha256, port = digest_of_zeros(size), free_port()
    words = [sys.executable, "-m", "bench.sparse_server", "--port", str(port), "--file", str(source)]
    server = Process("server", [*words, "--sha256", sha256], dict(os.environ), folder).start()
    url = f"http://127.0.0.1:{port}"
    try:
        until(lambda: subprocess.run(["curl", "-fsS", url], capture_output=True).returncode == 0, "the server is up")
        plain, pulls = [], []
        for _ in range(rounds):
            download = f"curl -fsS -o '{folder}/plain' '{url}/{FILE}' && sync '{folder}/plain'"
            plain.append(timed(["sh", "-c", download]))
            (folder / "plain").unlink()
            pulls.append(timed([sys.executable, "-c", PULL, url, str(folder / "models"), sha256, str(size)]))
            shutil.rmtree(folder / "models")
    finally:
        server.end()
    return tell(size, plain, pulls)


@dataclass(frozen=True)
class Run:
    """Seconds by the clock and of the processor; the most resident bytes of the process."""

    seconds: float
    processor_seconds: float
    memory: int


def timed(words: list[str]) -> Run:
    start = time.monotonic()
    with subprocess.Popen(words, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}) as running:
        _pid, status, usage = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode == 0, words[0]
    return Run(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def digest_of_zeros(size: int) -> str:
    block, made = bytes(1 << 24), hashlib.sha256()
    for _ in range(size // len(block)):
        made.update(block)
    made.update(bytes(size % len(block)))
    return made.hexdigest()


def tell(size: int, plain: list[Run], pulls: list[Run]) -> int:
    fast, ours = (size / statistics.median(run.seconds for run in runs) for runs in (plain, pulls))
    memory = max(run.memory for run in pulls)
    print(f"{size / GIGA:g} GB, {len(plain)} rounds, median; processor seconds per GB beside")
    print(f"  plain download  {fast / 1e6:6.0f} MB/s   {_processor(plain, size):.2f} s/GB")
    print(f"  pull, verified  {ours / 1e6:6.0f} MB/s   {_processor(pulls, size):.2f} s/GB")
    print(f"  share of speed  {100 * ours / fast:6.0f} %      (wanted: {100 * LEAST_SHARE:.0f} %)")
    print(f"  memory of pull  {memory / 1e6:6.1f} MB     (wanted: at most {MOST_BYTES / 1e6:.0f} MB)")
    return 0 if ours >= LEAST_SHARE * fast and memory <= MOST_BYTES else 1


def _processor(runs: list[Run], size: int) -> float:
    return statistics.median(run.processor_seconds for run in runs) / (size / GIGA)


if __name__ == "__main__":
    sys.exit(main())
