"""The GPUs of this machine as NVIDIA's driver describes them; none where there is no driver."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Set
from dataclasses import dataclass
from typing import Any

import psutil
import pynvml

from models_admin.fit.memory_split import ForeignProcess, Gpu


@dataclass(frozen=True)
class Sensors:
    """What a card tells beside its memory; None where it has no such sensor. Utilisation in % of the last moment."""

    temperature_celsius: int | None = None
    power_watts: int | None = None
    power_limit_watts: int | None = None
    utilisation_percent: int | None = None


@dataclass(frozen=True)
class Card:
    gpu: Gpu
    sensors: Sensors


@dataclass(frozen=True)
class Reading:
    """All cards at one moment; `driver` is the version of NVIDIA's, '' where there is none."""

    driver: str = ""
    cards: tuple[Card, ...] = ()


def read_all(*, nvml: Any = pynvml) -> Reading:
    """Cards with their sensors, as `read` gives them."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return Reading()
    try:
        cards = tuple(_card(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
        return Reading(_text(nvml.nvmlSystemGetDriverVersion()), cards)
    except nvml.NVMLError:
        return Reading()
    finally:
        nvml.nvmlShutdown()


def keep_open(*, nvml: Any = pynvml) -> None:
    """For a process that reads for ever: without a hold of its own each reading would load the driver's state anew."""
    with contextlib.suppress(nvml.NVMLError):
        nvml.nvmlInit()


def _card(nvml: Any, index: int) -> Card:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    sensors = Sensors(
        temperature_celsius=_told(nvml, lambda: nvml.nvmlDeviceGetTemperature(device, nvml.NVML_TEMPERATURE_GPU)),
        power_watts=_told(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(device) // 1000),
        power_limit_watts=_told(nvml, lambda: nvml.nvmlDeviceGetPowerManagementLimit(device) // 1000),
        utilisation_percent=_told(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(device).gpu),
    )
    return Card(_gpu(nvml, index, frozenset()), sensors)


def _told(nvml: Any, ask: Callable[[], int]) -> int | None:
    try:
        return ask()
    except nvml.NVMLError:
        return None


def read(*, own_pids: Set[int] = frozenset(), nvml: Any = pynvml) -> tuple[Gpu, ...]:
    """All cards. Memory of processes in `own_pids` counts as free: they are what would be loaded anew."""
    try:
        nvml.nvmlInit()
    except nvml.NVMLError:
        return ()
    try:
        return tuple(_gpu(nvml, index, own_pids) for index in range(nvml.nvmlDeviceGetCount()))
    except nvml.NVMLError:
        return ()  # a driver that was updated under a running kernel answers nothing else
    finally:
        nvml.nvmlShutdown()


def _gpu(nvml: Any, index: int, own_pids: Set[int]) -> Gpu:
    device = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(device)
    held = _held(nvml, device)
    own = sum(held[pid] for pid in held.keys() & own_pids)
    foreign = [ForeignProcess(pid, _name(pid), size) for pid, size in held.items() if pid not in own_pids]
    return Gpu(
        name=_text(nvml.nvmlDeviceGetName(device)),
        total=memory.total,
        free=min(memory.total, memory.free + own),
        foreign=tuple(sorted(foreign, key=lambda process: -process.bytes)),
    )


def _held(nvml: Any, device: Any) -> dict[int, int]:
    """Bytes by process; 0 where the driver does not tell, as inside a container."""
    held: dict[int, int] = {}
    for list_processes in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
        try:
            for process in list_processes(device):
                held[process.pid] = max(held.get(process.pid, 0), process.usedGpuMemory or 0)
        except nvml.NVMLError:
            continue  # not every card counts both kinds
    return held


def _name(pid: int) -> str:
    try:
        return str(psutil.Process(pid).name())
    except psutil.Error:
        return "?"


def _text(name: str | bytes) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name
