"""Looks at the machine this process runs on. Knows no database; what changes rarely is asked rarely."""

from __future__ import annotations

import asyncio
import math
import shutil
import time
from collections.abc import Callable, Coroutine, Sequence, Set
from pathlib import Path
from typing import Any

import psutil
import pynvml

from models_admin.backends.base import BackendError, Endpoint
from models_admin.backends.detect import detect
from models_admin.fit import gpus
from models_admin.fit.memory_split import ForeignProcess
from models_admin.hosts import inventory
from models_admin.hosts.installed import Installed
from models_admin.hosts.inventory import FoundEngine, GpuCard, GpuProcess, Inventory, Program

PROGRAMS_SECONDS = 600.0
ENGINES_SECONDS = 60.0
DETECT_SECONDS = 20.0
# A program or an engine that hangs holds up no heartbeat: what it says later stands in the next look.
PATIENCE_SECONDS = 3.0
USUAL_PORTS = tuple(inventory.USUAL_PORTS.values())
# vLLM's and Ollama's workers are children, or children's children, of the process that listens.
MOST_PARENTS = 4


class Inspector:
    """Reads again and again; `now` counts seconds and never goes back."""

    def __init__(
        self,
        folder: Path,
        *,
        ports: Sequence[int] = USUAL_PORTS,
        installed: Installed | None = None,
        nvml: Any = pynvml,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder, self._ports, self._nvml, self._now = folder, ports, nvml, now
        self._installed = installed or Installed()
        self._programs: tuple[Program, ...] = ()
        self._engines: tuple[FoundEngine, ...] = ()
        self._asked_at: dict[str, float] = {}
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._listening: dict[tuple[int, float], tuple[int, ...]] = {}
        gpus.keep_open(nvml=nvml)

    async def read(self) -> Inventory:
        """One look: programs and drivers on threads, engines by this loop."""
        begun = [
            self._ask("programs", PROGRAMS_SECONDS, self._read_programs),
            self._ask("engines", ENGINES_SECONDS, self._find_engines),
        ]
        if tasks := [task for task in begun if task]:
            await asyncio.wait(tasks, timeout=PATIENCE_SECONDS)
        return await asyncio.to_thread(self._look)

    def _ask(
        self, what: str, seconds: float, ask: Callable[[], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None] | None:
        """Begin to ask, unless it was asked lately or is being asked still."""
        if what in self._asking or self._now() - self._asked_at.get(what, -math.inf) < seconds:
            return None
        self._asked_at[what] = self._now()
        task = self._asking[what] = asyncio.create_task(ask())
        task.add_done_callback(lambda _: self._asking.pop(what))
        return task

    async def _read_programs(self) -> None:
        self._programs = await asyncio.to_thread(self._installed.read)

    async def _find_engines(self) -> None:
        self._engines = await find_engines(self._ports)

    def _look(self) -> Inventory:
        memory = psutil.virtual_memory()
        total, free = _disk(self._folder)
        reading = gpus.read_all(nvml=self._nvml)
        self._forget({held.pid for card in reading.cards for held in card.gpu.foreign})
        return Inventory(
            memory_total_bytes=memory.total,
            memory_free_bytes=memory.available,
            disk_total_bytes=total,
            disk_free_bytes=free,
            driver=reading.driver,
            gpus=tuple(self._card(card) for card in reading.cards),
            programs=self._programs,
            engines=self._engines,
        )

    def _card(self, card: gpus.Card) -> GpuCard:
        gpu, sensors = card.gpu, card.sensors
        return GpuCard(
            name=gpu.name,
            total_bytes=gpu.total,
            free_bytes=gpu.free,
            temperature_celsius=sensors.temperature_celsius,
            power_watts=sensors.power_watts,
            power_limit_watts=sensors.power_limit_watts,
            utilisation_percent=sensors.utilisation_percent,
            processes=tuple(self._process(each) for each in gpu.foreign),
        )

    def _process(self, held: ForeignProcess) -> GpuProcess:
        return GpuProcess(held.pid, held.name, held.bytes, self._ports_of(held.pid))

    def _forget(self, pids: Set[int]) -> None:
        self._listening = {key: ports for key, ports in self._listening.items() if key[0] in pids}

    def _ports_of(self, pid: int) -> tuple[int, ...]:
        """Ports on which the process or one of its parents listens: they tell which engine it belongs to."""
        try:
            process = psutil.Process(pid)
            key = (pid, process.create_time())
            # An engine opens its port after it has taken memory: only what was found is kept.
            if not self._listening.get(key):
                self._listening[key] = _listening([process, *process.parents()[:MOST_PARENTS]])
        except psutil.Error:
            return ()  # of another container
        return self._listening[key]


async def find_engines(ports: Sequence[int], *, host: str = "127.0.0.1") -> tuple[FoundEngine, ...]:
    """What answers there as an engine does. Whatever else answers, this site among it, is passed over."""
    found = await asyncio.gather(*(_found(f"http://{host}:{port}") for port in ports))
    return tuple(each for each in found if each)


async def _found(url: str) -> FoundEngine | None:
    try:
        async with asyncio.timeout(DETECT_SECONDS):
            told = await detect(Endpoint(url))
    except (BackendError, TimeoutError):
        return None
    return FoundEngine(url, told.kind, told.evidence[:200], told.wants_key) if told.kind else None


def _disk(folder: Path) -> tuple[int | None, int | None]:
    """Total and free bytes of the disk that holds the folder, or will once it is made."""
    place = next((each for each in (folder, *folder.parents) if each.exists()), None)
    try:
        usage = shutil.disk_usage(place) if place else None
    except OSError:
        usage = None
    return (usage.total, usage.free) if usage else (None, None)


def _listening(processes: Sequence[psutil.Process]) -> tuple[int, ...]:
    ports: set[int] = set()
    for process in processes:
        try:
            rows = process.net_connections("tcp")
        except psutil.Error:
            continue  # somebody else's
        ports.update(row.laddr.port for row in rows if row.status == psutil.CONN_LISTEN and row.laddr)
    return tuple(sorted(ports))
