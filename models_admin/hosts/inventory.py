"""What a machine is, as its agent tells it: plain data, the same over any wire. Loads no client of engines.

Sizes in bytes; None where nothing is told. `inspection` reads it, `hosts` keeps it.
"""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

# A host is not trusted: nothing it tells may break a sum or fill a page.
Size = Annotated[int, msgspec.Meta(ge=0, le=2**50)]
Number = Annotated[int, msgspec.Meta(ge=-(10**6), le=10**6)]
Pid = Annotated[int, msgspec.Meta(ge=0, le=2**32)]
Word = Annotated[str, msgspec.Meta(max_length=300)]
MOST = msgspec.Meta(max_length=256)

# How often an agent looks at its machine, and says so: that is its sign of life, too.
LOOK_SECONDS = 10.0
# Where engines listen when nobody says otherwise, by their kind.
USUAL_PORTS = {"ollama": 11434, "vllm": 8000, "llama.cpp": 8080, "sglang": 30000}


class GpuProcess(msgspec.Struct, frozen=True):
    """A process that holds memory of a card; 0 bytes where the driver does not tell. `ports` it or a parent serves."""

    pid: Pid
    name: Word
    bytes: Size
    ports: Annotated[tuple[Number, ...], MOST] = ()


class GpuCard(msgspec.Struct, frozen=True):
    name: Word
    total_bytes: Size
    free_bytes: Size
    temperature_celsius: Number | None = None
    power_watts: Number | None = None
    power_limit_watts: Number | None = None
    utilisation_percent: Number | None = None
    processes: Annotated[tuple[GpuProcess, ...], MOST] = ()


class Program(msgspec.Struct, frozen=True):
    """An engine's program on the agent's PATH. `version` '' where it did not tell in time."""

    name: Word
    version: Word = ""


class FoundEngine(msgspec.Struct, frozen=True):
    """An engine that answered on a usual port; `kind` by evidence, not by the port."""

    url: Word
    kind: Word
    evidence: Word
    wants_key: bool = False


class Inventory(msgspec.Struct, frozen=True):
    """One look at a machine. The disk is the one that holds its models' files."""

    memory_total_bytes: Size
    memory_free_bytes: Size
    disk_total_bytes: Size | None = None
    disk_free_bytes: Size | None = None
    driver: Word = ""
    gpus: Annotated[tuple[GpuCard, ...], MOST] = ()
    programs: Annotated[tuple[Program, ...], MOST] = ()
    engines: Annotated[tuple[FoundEngine, ...], MOST] = ()


def to_json(inventory: Inventory) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.to_builtins(inventory)
    return told


def from_json(told: object) -> Inventory | None:
    """None for nothing, and for what was told in another shape."""
    try:
        return msgspec.convert(told, Inventory) if told else None
    except msgspec.ValidationError:
        return None
