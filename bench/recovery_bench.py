"""How long people wait for the truth: after Stop, after their rights have gone, and after each process is killed."""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass

import psutil

from bench import page
from chat import protocol
from tests.processes import until_async
from tests.stack import Stack
from tests.tab import Shown, Tab

SECONDS = 90
FLOOD_ANSWERS, FLOOD_CHARACTERS = 27, 1_900_000
Trial = Callable[[Stack], Awaitable[float]]


@dataclass(frozen=True)
class Aim:
    """What is measured so many times; `most` is the aim, in the unit of the trial."""

    name: str
    unit: str
    most: float
    times: int
    trial: Trial


async def _begun(tab: Tab, script: str = "say 20+5000") -> Shown:
    shown = await tab.ask(f"{script} [{uuid.uuid4().hex}]")
    await until_async(lambda: shown.answer, "the answer begins", SECONDS)
    return shown


async def _milliseconds(holds: Callable[[], object], what: str) -> float:
    """Until it holds, looked at every 2 ms."""
    start = time.monotonic()
    while not holds():
        assert time.monotonic() - start < SECONDS, what
        await asyncio.sleep(0.002)
    return (time.monotonic() - start) * 1000


async def stop(stack: Stack) -> float:
    """From the wish in one tab to the end in another."""
    person = stack.person()
    async with Tab(stack, person) as first, Tab(stack, person) as second:
        other = await second.watch((await _begun(first)).generation)
        await first.send("stop", id="stop", generation=other.generation)
        return await _milliseconds(lambda: other.settled, "the other tab shows the end")


async def stop_at_the_engine(stack: Stack) -> float:
    """From the wish to the free slot of the engine."""
    async with Tab(stack, stack.person()) as tab:
        shown = await _begun(tab)
        await tab.send("stop", id="stop", generation=shown.generation)
        return await _milliseconds(lambda: stack.busy_slots() == 0, "the slot is free")


async def lost_rights(stack: Stack) -> float:
    """From the deactivation to the last frame."""
    person = stack.person()
    async with Tab(stack, person, returns=False) as tab:
        shown = await _begun(tab)
        stack.orm("User.objects.filter(pk=pk).update(is_active=False)", pk=person.pk)
        waited = await _milliseconds(lambda: tab.closed_with, "the socket is closed")
        stack.orm("Generation.objects.filter(pk=pk).update(wants_stop=True)", pk=shown.generation)
        await until_async(lambda: stack.busy_slots() == 0, "the slot is free", SECONDS)
        return waited


async def killed_engine(stack: Stack) -> float:
    async with Tab(stack, stack.person()) as tab:
        shown = await _begun(tab)
        stack.engine.kill9()
        waited = await _milliseconds(lambda: shown.settled, "told")
    stack.revive()
    return waited / 1000


async def killed_runner(stack: Stack) -> float:
    async with Tab(stack, stack.person()) as tab:
        shown = await _begun(tab)
        stack.runner.kill9()
        stack.runner.start()
        return await _milliseconds(lambda: shown.settled, "told") / 1000


async def killed_leader(stack: Stack) -> float:
    """With another runner there: until the next question is answered."""
    stack.add_runner()
    stack.runner.kill9()
    start = time.monotonic()
    async with Tab(stack, stack.person()) as tab:
        shown = await tab.ask(f"say 1+1 [{uuid.uuid4().hex}]")
        await _milliseconds(lambda: shown.settled, "answered")
    waited = time.monotonic() - start
    stack.revive()
    return waited


async def killed_web_server(stack: Stack) -> float:
    """Until the tab, which tries again five times a second, has its answer before it again."""
    async with Tab(stack, stack.person()) as tab:
        shown = await _begun(tab)
        stack.web.kill9()
        stack.web.start()
        seen = len(shown.answer)
        waited = await _milliseconds(lambda: len(shown.answer) > seen + 20, "it goes on")
        await tab.stop(shown)
        return waited / 1000


async def mute_socket(stack: Stack) -> float:
    """Memory of the web server, in MB, that each socket without acknowledgements adds to what a flood takes anyway."""
    alone = await _flooded(stack, 1)
    return (await _flooded(stack, protocol.SOCKETS_PER_USER) - alone) / (protocol.SOCKETS_PER_USER - 1)


async def _flooded(stack: Stack, sockets: int) -> float:
    """The web server's own memory in MB while so many sockets follow 50 MB and acknowledge none of it."""
    person = stack.person()
    async with AsyncExitStack() as closing:
        mute = Tab(stack, person, acks=False, returns=False)
        tabs = [mute, *(Tab(stack, person, acks=False, returns=False) for _ in range(sockets - 1))]
        for tab in tabs:
            await closing.enter_async_context(tab)
        for _ in range(FLOOD_ANSWERS):
            shown = await mute.ask(f"say 0+1 big={FLOOD_CHARACTERS} [{uuid.uuid4().hex}]")
            for tab in tabs[1:]:
                await tab.send("watch", id="w", generation=shown.generation)
        await until_async(lambda: stack.busy_slots() == 0, "all of it has been written", SECONDS)
        return psutil.Process(stack.web.running.pid).memory_full_info().uss / 1e6


AIMS = (
    Aim("Stop, until another tab shows the end", "ms", 300, 10, stop),
    Aim("Stop, until the engine's slot is free", "ms", 300, 10, stop_at_the_engine),
    Aim("Rights taken away, until the last frame", "ms", 2000, 5, lost_rights),
    Aim("Engine killed, until told", "s", 3, 3, killed_engine),
    Aim("Runner killed and started, until told", "s", 15, 2, killed_runner),
    Aim("Leader killed, until another answers", "s", 5, 2, killed_leader),
    Aim("Web server killed and started, until the text goes on", "s", 10, 2, killed_web_server),
    Aim("Memory of a socket that never acknowledges 50 MB", "MB", 1, 1, mute_socket),
)


async def run(aims: list[Aim]) -> str:
    stack = Stack(slots=50, pace=50).start()
    rows = [
        f"Measured {time.strftime('%Y-%m-%d')} on {psutil.cpu_count()} cores.",
        "",
        "| | median | most | aim | |",
        "|---|---|---|---|---|",
    ]
    try:
        for aim in aims:
            found = [await aim.trial(stack) for _ in range(aim.times)]
            verdict = "met" if max(found) <= aim.most else "missed"
            middle, most = statistics.median(found), max(found)
            rows.append(f"| {aim.name} | {middle:.3g} {aim.unit} | {most:.3g} | {aim.most:g} | {verdict} |")
            print(rows[-1], flush=True)
    finally:
        stack.end()
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/recovery", description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="only those with this word in their name")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    table = asyncio.run(run([aim for aim in AIMS if options.only in aim.name]))
    print(table)
    if options.write:
        page.write("recovery", table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
