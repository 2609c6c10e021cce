"""NVIDIA's library as pynvml shows it: cards of 24 GiB, on the first of them processes of a test's choice."""

from __future__ import annotations

from types import SimpleNamespace

GIB = 2**30


class NvmlStandIn:
    """`has_sensors` False: an old card, or one inside a virtual machine, that tells memory and nothing else."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception): ...

    def __init__(self, *, cards: int = 1, has_sensors: bool = True, processes: dict[int, int] | None = None) -> None:
        self.cards, self.has_sensors, self.processes = cards, has_sensors, processes or {}
        self.holds = 0

    def nvmlInit(self) -> None:
        self.holds += 1

    def nvmlShutdown(self) -> None:
        self.holds -= 1

    def nvmlSystemGetDriverVersion(self) -> bytes:
        return b"580.95.05"

    def nvmlDeviceGetCount(self) -> int:
        assert self.holds > 0
        return self.cards

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, device: int) -> str:
        return "NVIDIA RTX A5000"

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:
        held = sum(self.processes.values()) if device == 0 else 0
        return SimpleNamespace(total=24 * GIB, free=24 * GIB - held)

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[SimpleNamespace]:
        held = self.processes if device == 0 else {}
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in held.items()]

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: int) -> list[SimpleNamespace]:
        raise self.NVMLError

    def nvmlDeviceGetTemperature(self, device: int, sensor: int) -> int:
        return self._told(61)

    def nvmlDeviceGetPowerUsage(self, device: int) -> int:
        return self._told(187_400)

    def nvmlDeviceGetPowerManagementLimit(self, device: int) -> int:
        return self._told(230_000)

    def nvmlDeviceGetUtilizationRates(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(gpu=self._told(98))

    def _told(self, value: int) -> int:
        if not self.has_sensors:
            raise self.NVMLError
        return value


class NoNvml(NvmlStandIn):
    """A machine without NVIDIA's driver."""

    def nvmlInit(self) -> None:
        raise self.NVMLError
