"""Starts the whole site, a bare proxy and a direct client against one scripted engine, and prints a table."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import aiohttp
import psutil
import uvloop

from bench import page
from bench.readers import Reading, Socket, read_http
from tests.processes import Process
from tests.running_engines import free_port
from tests.stack import Person, Stack

PACE = 50
TOKENS = 1000  # thinking and answer of an R1 class model
SHORT_TOKENS, SHORT_ROUNDS = 50, 10
IDLE_SOCKETS = 200
SOCKETS_PER_PERSON = 2
PROXIES = {"httpx proxy": "httpx", "aiohttp proxy": "aiohttp"}
WAYS = ("direct", *PROXIES, "site")
Read = Callable[[int, str], Awaitable[Reading]]


@dataclass
class Row:
    """One way at one concurrency. Times in ms, CPU in µs per token that arrived, memory in MB."""

    way: str
    streams: int
    first: float
    gap: float
    rate: float
    cpu: dict[str, float]
    memory: dict[str, float]

    @property
    def path_cpu(self) -> float:
        return sum(value for name, value in self.cpu.items() if name not in {"engine", "client"})


class Bench:
    """The processes, and one measurement after another."""

    def __init__(self, stack: Stack, proxies: dict[str, Process], http: aiohttp.ClientSession) -> None:
        self.stack, self.proxies, self.http = stack, proxies, http
        self.people: list[Person] = []

    async def measure(self, way: str, streams: int) -> Row:
        async with AsyncExitStack() as closing:
            read, processes = await self._way(way, streams, closing)
            tokens, rounds = (SHORT_TOKENS, SHORT_ROUNDS) if streams == 1 else (TOKENS, 1)
            before = _cpu(processes)
            readings: list[Reading] = []
            for number in range(rounds):
                script = f"say {tokens // 10}+{tokens - tokens // 10} {way} {streams} {number}"
                readings += await asyncio.gather(*(read(n, f"{script} {n}") for n in range(streams)))
            after = _cpu(processes)
        assert all(reading.is_whole for reading in readings), f"{way} {streams}: arrived is not what was sent"
        arrived = sum(reading.tokens for reading in readings)
        cpu = {name: (after[name] - before[name]) * 1e6 / arrived for name in after}
        memory = {p.name: p.memory() / 1e6 for p in processes}
        return Row(way, streams, _first(readings), _gap(readings), _rate(readings, tokens), cpu, memory)

    async def _way(self, way: str, streams: int, closing: AsyncExitStack) -> tuple[Read, list[Process]]:
        engine = self.stack.engine
        if way != "site":
            url = self.stack.engine_url if way == "direct" else f"http://127.0.0.1:{self.proxies[way].words[-1]}"
            ours = [] if way == "direct" else [self.proxies[way]]
            return (lambda _n, question: read_http(self.http, url, question)), [*ours, engine]
        sockets = await self.sockets(streams, closing)
        return (lambda n, question: sockets[n].read(question)), [
            self.stack.web,
            self.stack.runner,
            self.stack.redis,
            engine,
        ]

    async def sockets(self, count: int, closing: AsyncExitStack) -> list[Socket]:
        while len(self.people) * SOCKETS_PER_PERSON < count:
            self.people.append(self.stack.person())
        made = [Socket(self.http, self.stack, self.people[n // SOCKETS_PER_PERSON]) for n in range(count)]
        for socket in made:
            await socket.open()
            closing.push_async_callback(socket.close)
        return made

    async def idle_socket_bytes(self) -> float:
        async with AsyncExitStack() as closing:
            await self.sockets(1, closing)
        async with AsyncExitStack() as closing:
            before = self.stack.web.memory()
            await self.sockets(IDLE_SOCKETS, closing)
            return (self.stack.web.memory() - before) / IDLE_SOCKETS


def _cpu(processes: list[Process]) -> dict[str, float]:
    own = psutil.Process().cpu_times()
    return {**{p.name: p.cpu_seconds() for p in processes}, "client": own.user + own.system}


def _first(readings: list[Reading]) -> float:
    return statistics.median((r.arrivals[0] - r.asked) * 1000 for r in readings)


def _gap(readings: list[Reading]) -> float:
    gaps = sorted(b - a for r in readings for a, b in zip(r.arrivals, r.arrivals[1:], strict=False))
    return gaps[int(len(gaps) * 0.95)] * 1000


def _rate(readings: list[Reading], tokens: int) -> float:
    """Tokens per second and stream, first to last arrival."""
    return statistics.mean((tokens - 1) / (r.arrivals[-1] - r.arrivals[0]) for r in readings)


async def run(counts: list[int]) -> str:
    stack = Stack(slots=250, pace=PACE)
    proxies = {way: _proxy(stack, way) for way in PROXIES}
    rows: list[Row] = []
    try:
        stack.start()
        for proxy in proxies.values():
            proxy.start()
        idle = {p.name: p.memory() / 1e6 for p in (stack.web, stack.runner, stack.redis)}
        connector = aiohttp.TCPConnector(limit=0, force_close=False)
        async with aiohttp.ClientSession(connector=connector) as http:
            bench = Bench(stack, proxies, http)
            await asyncio.sleep(3)
            socket_bytes = await bench.idle_socket_bytes()
            for way in WAYS:
                await bench.measure(way, 1)  # warms connections and caches
            for streams in counts:
                for way in WAYS:
                    rows.append(await bench.measure(way, streams))
                    print(rows[-1], flush=True)
        return report(rows, idle, socket_bytes)
    finally:
        for proxy in proxies.values():
            proxy.end()
        stack.end()


def _proxy(stack: Stack, way: str) -> Process:
    words = [sys.executable, "-m", "bench.proxy", "-b", "127.0.0.1", "-p", str(free_port())]
    names = {"ENGINE_URL": stack.engine_url, "TRANSPORT": PROXIES[way]}
    return Process("proxy", words, {**stack.environment, **names}, stack.folder)


def report(rows: list[Row], idle: dict[str, float], socket_bytes: float) -> str:
    """The table in Markdown, with what the aims ask for."""
    lines = [
        f"Measured {time.strftime('%Y-%m-%d')} on {psutil.cpu_count()} cores (load average before the end "
        f"{psutil.getloadavg()[1]:.1f}), {PACE} tokens/s and stream, every text whole.",
        "",
        "| streams | way | first token p50 ms | added ms | gap p95 ms | tokens/s and stream "
        "| CPU µs/token, path | by process | times the httpx / aiohttp proxy |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        direct = next(r for r in rows if (r.way, r.streams) == ("direct", row.streams))
        yardsticks = [r for r in rows if r.way in PROXIES and r.streams == row.streams]
        share = " / ".join(f"{row.path_cpu / each.path_cpu:.2f}" for each in yardsticks) if row.way == "site" else "–"
        cpu = ", ".join(f"{name} {value:.0f}" for name, value in row.cpu.items())
        lines.append(
            f"| {row.streams} | {row.way} | {row.first:.0f} | {row.first - direct.first:.0f} | {row.gap:.0f} "
            f"| {row.rate:.1f} | {row.path_cpu:.0f} | {cpu} | {share} |"
        )
    parts = ", ".join(f"{name} {value:.0f}" for name, value in idle.items())
    busiest = ", ".join(f"{name} {value:.0f}" for name, value in rows[-1].memory.items())
    lines += [
        "",
        f"Idle memory (resident MB): {sum(idle.values()):.0f} ({parts}); after the last row: {busiest}. "
        f"An idle socket: {socket_bytes / 1000:.0f} kB of the web server.",
    ]
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/stream", description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 10, 50, 200], metavar="N")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    table = uvloop.run(run(options.streams))
    print(table)
    if options.write:
        page.write("stream", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
