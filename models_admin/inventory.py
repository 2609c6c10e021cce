"""What a machine is, as its agent tells it: plain data, the same over any wire. Loads no client of engines.

Sizes in bytes; None where nothing is told. `inspection` reads it, `hosts` keeps it.
"""

from __future__ import annotations

from typing import Any

import msgspec

# How often an agent looks at its machine, and says so: that is its sign of life, too.
LOOK_SECONDS = 10.0
# Where engines listen when nobody says otherwise, by their kind.
USUAL_PORTS = {"ollama": 11434, "vllm": 8000, "llama.cpp": 8080, "sglang": 30000}


class GpuProcess(msgspec.Struct, frozen=True):
    """A process that holds memory of a card; 0 bytes where the driver does not tell. `ports` it or a parent serves."""

    pid: int
    name: str
    bytes: int
    ports: tuple[int, ...] = ()


class GpuCard(msgspec.Struct, frozen=True):
    name: str
    total_bytes: int
    free_bytes: int
    temperature_celsius: int | None = None
    power_watts: int | None = None
    power_limit_watts: int | None = None
    utilisation_percent: int | None = None
    processes: tuple[GpuProcess, ...] = ()


class Program(msgspec.Struct, frozen=True):
    """An engine's program on the agent's PATH. `version` '' where it did not tell in time."""

    name: str
    version: str = ""


class FoundEngine(msgspec.Struct, frozen=True):
    """An engine that answered on a usual port; `kind` by evidence, not by the port."""

    url: str
    kind: str
    evidence: str
    wants_key: bool = False


class Inventory(msgspec.Struct, frozen=True):
    """One look at a machine. The disk is the one that holds its models' files."""

    memory_total_bytes: int
    memory_free_bytes: int
    disk_total_bytes: int | None = None
    disk_free_bytes: int | None = None
    driver: str = ""
    gpus: tuple[GpuCard, ...] = ()
    programs: tuple[Program, ...] = ()
    engines: tuple[FoundEngine, ...] = ()


def to_json(inventory: Inventory) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(inventory)
    return told


def from_json(told: object) -> Inventory | None:
    """None for nothing, and for what was told in another shape."""
    try:
        return msgspec.convert(told, Inventory) if told else None
    except msgspec.ValidationError:
        return None
