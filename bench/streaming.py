"""The whole site beside a bare pass-through proxy and a direct client, in one run. See `bench/stream --help`."""

from __future__ import annotations

import argparse
import asyncio
import socket
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from bench.clients import DEADLINE_SECONDS, Arrival, over_http, over_socket
from tests.processes import Process, until
from tests.running_engines import KEY, free_port
from tests.stack import MODEL, Stack

SOCKETS_PER_PERSON = 15
HEAD = (
    "| streams | path | arrived / sent | first token p50, ms | gap p95, ms | tokens/s "
    "| CPU µs per token (web, runner, Redis) | ÷ proxy | memory, MB |\n"
    "|---:|---|---:|---:|---:|---:|---:|---:|---:|\n"
)


@dataclass(frozen=True)
class Row:
    """One measurement; times in s, cpu in s by process, memory in bytes."""

    streams: int
    path: str
    arrivals: list[Arrival]
    sent: int
    wall: float
    cpu: list[float]
    memory: int

    @property
    def arrived(self) -> int:
        return sum(arrival.tokens for arrival in self.arrivals)

    @property
    def micros(self) -> float:
        return sum(self.cpu) / max(1, self.arrived) * 1e6

    def line(self, yardstick: Row | None) -> str:
        firsts = [arrival.first for arrival in self.arrivals]
        gaps = sorted(gap for arrival in self.arrivals for gap in arrival.gaps) or [0.0]
        parts = ", ".join(f"{each / max(1, self.arrived) * 1e6:.0f}" for each in self.cpu)
        ratio = f"{self.micros / yardstick.micros:.2f}" if yardstick and yardstick.micros else "–"
        cpu = f"{self.micros:.0f} ({parts})" if self.cpu else "–"
        return (
            f"| {self.streams} | {self.path} | {self.arrived} / {self.sent} | {statistics.median(firsts) * 1e3:.1f} "
            f"| {gaps[int(len(gaps) * 0.95)] * 1e3:.0f} | {self.arrived / self.wall:.0f} | {cpu} | {ratio} "
            f"| {self.memory / 1e6:.0f} |\n"
        )


def cpu_of(processes: list[Process]) -> list[float]:
    return [process.cpu_seconds() for process in processes]


async def measure(
    path: str, streams: int, tokens: int, processes: list[Process], run: Callable[[int], Awaitable[Arrival]],
    start: asyncio.Event | None = None,
) -> Row:  # fmt: skip
    """Run all streams at once; CPU counts from the first question to the last end."""
    tasks = [asyncio.ensure_future(run(number)) for number in range(streams)]
    if start is not None:
        await asyncio.sleep(2)
    before, began = cpu_of(processes), time.perf_counter()
    if start is not None:
        start.set()
    arrivals = await asyncio.wait_for(asyncio.gather(*tasks), DEADLINE_SECONDS)
    wall = time.perf_counter() - began
    cpu = [after - first for after, first in zip(cpu_of(processes), before, strict=True)]
    memory = sum(process.memory() for process in processes)
    return Row(streams, path, list(arrivals), streams * tokens, wall, cpu, memory)


async def compare(stack: Stack, proxy: Process, proxy_url: str, streams: int, tokens: int) -> list[Row]:
    text = f"say {tokens // 4}+{tokens - tokens // 4}"
    people = [stack.person().session for _ in range(-(-streams // SOCKETS_PER_PERSON))]
    start = asyncio.Event()

    async def direct(_number: int) -> Arrival:
        return await over_http(stack.engine_url, KEY, MODEL, text)

    async def proxied(_number: int) -> Arrival:
        return await over_http(proxy_url, KEY, MODEL, text)

    async def site(number: int) -> Arrival:
        return await over_socket(stack.url(), people[number // SOCKETS_PER_PERSON], MODEL, text, start)

    return [
        await measure("direct", streams, tokens, [], direct),
        await measure("proxy", streams, tokens, [proxy], proxied),
        await measure("site", streams, tokens, [*stack.webs, *stack.runners, stack.redis], site, start),
    ]


def main() -> int:
    options = _options()
    stack = Stack(slots=256, pace=options.pace).start()
    port = free_port()
    words = [sys.executable, "-m", "bench.proxy", stack.engine_url, KEY, str(port)]
    proxy = Process("proxy", words, stack.environment, stack.folder).start()
    table, failed = HEAD, False
    try:
        until(lambda: _listens(port), "the proxy listens", 60)
        idle = sum(process.memory() for process in (*stack.webs, *stack.runners, stack.redis)) / 1e6
        asyncio.run(compare(stack, proxy, f"http://127.0.0.1:{port}", 2, 20))  # warm every path
        for streams in options.streams:
            rows = asyncio.run(compare(stack, proxy, f"http://127.0.0.1:{port}", streams, options.tokens))
            for row in rows:
                table += row.line(rows[1])
                print(row.line(rows[1]), end="", flush=True)
                failed |= row.arrived != row.sent
    finally:
        proxy.end()
        stack.end()
    table += f"\nIdle memory of web, runner and Redis together: {idle:.0f} MB.\n"
    if options.out:
        options.out.write_text(table)
    print("Arrived differs from sent." if failed else "Everything that was sent arrived.")
    return int(failed)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/stream", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 10, 50, 200])
    parser.add_argument("--tokens", type=int, default=200, help="tokens per stream")
    parser.add_argument("--pace", type=float, default=50, help="tokens/s and stream, 0 = as fast as possible")
    parser.add_argument("--out", type=Path, help="write the Markdown table here")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
