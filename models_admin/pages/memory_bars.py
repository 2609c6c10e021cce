"""Who holds the memory of a machine: its models, other programs, nobody. Pure sums over what its agent told.

A process belongs to an engine whose port it or a parent serves; where the agent may not see that (an engine under a
user of its own), by its name. What a card holds beside its processes is what the driver keeps to itself, as it does
inside containers: models that are known to be loaded are taken out of it first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from models_admin.hosts.inventory import GpuCard, GpuProcess, Inventory

# What processes of each kind of engine are called; Ollama's first, because its names hold those of llama.cpp.
PROCESS_NAMES = {"ollama": "ollama", "vllm": "vllm", "sglang": "sglang", "llama.cpp": "llama-server"}


class What(StrEnum):
    WEIGHTS = "weights"
    CACHE = "cache"
    PROGRAM = "program"
    REST = "rest"


@dataclass(frozen=True)
class Loaded:
    """A model that an engine has in memory. Bytes None where nobody knows; `weights` are those of its files."""

    deployment: int
    engine: int
    kind: str
    port: int | None
    memory: int | None = None
    weights: int | None = None


@dataclass(frozen=True)
class Part:
    """A stretch of a bar, in bytes: a deployment's, a program's by its name, or the rest."""

    what: What
    bytes: int
    deployment: int | None = None
    program: str = ""


@dataclass(frozen=True)
class Bar:
    """One card, or the machine's own memory where it has none. `parts` never exceed what is not free."""

    name: str
    total: int
    free: int
    parts: tuple[Part, ...]

    @property
    def used(self) -> int:
        return self.total - self.free

    def held_by(self, deployment: int) -> int:
        return sum(part.bytes for part in self.parts if part.deployment == deployment)


def bars(told: Inventory, models: Sequence[Loaded]) -> list[Bar]:
    if told.gpus:
        return [_of_card(card, told.gpus, models) for card in told.gpus]
    used = told.memory_total_bytes - told.memory_free_bytes
    shares = _capped({model.deployment: model.memory or 0 for model in models}, used)
    return [_bar("", told.memory_total_bytes, told.memory_free_bytes, shares, {}, models)]


def _of_card(card: GpuCard, cards: Sequence[GpuCard], models: Sequence[Loaded]) -> Bar:
    owners = {process.pid: owner(process, models) for process in card.processes}
    shares: dict[int, int] = {}
    for engine in dict.fromkeys(model.engine for model in models):
        held = sum(process.bytes for process in card.processes if owners[process.pid] == engine)
        shares |= _split(held, [model for model in models if model.engine == engine])
    foreign: dict[str, int] = {}
    for process in card.processes:
        if owners[process.pid] is None and process.bytes:
            foreign[process.name] = foreign.get(process.name, 0) + process.bytes
    told_of = {_owner_with_bytes(process, models) for other in cards for process in other.processes}
    silent = [model for model in models if model.engine not in told_of]
    shares |= _hidden(card, cards, silent)
    return _bar(card.name, card.total_bytes, card.free_bytes, shares, foreign, models)


def owner(process: GpuProcess, models: Sequence[Loaded]) -> int | None:
    """The engine that a process belongs to."""
    for model in models:
        if model.port in process.ports:
            return model.engine
    kind = next((kind for kind, name in PROCESS_NAMES.items() if name in process.name.lower()), None)
    if process.ports and kind != "ollama":
        return None  # it serves another port: another engine of the same kind
    return next((model.engine for model in models if model.kind == kind), None)


def _owner_with_bytes(process: GpuProcess, models: Sequence[Loaded]) -> int | None:
    return owner(process, models) if process.bytes else None


def _split(held: int, models: Sequence[Loaded]) -> dict[int, int]:
    """An engine's bytes on a card to its models, by what each takes; evenly where that is not known."""
    known = sum(model.memory or 0 for model in models)
    return {model.deployment: held * (model.memory or 0) // known if known else held // len(models) for model in models}


def _hidden(card: GpuCard, cards: Sequence[GpuCard], models: Sequence[Loaded]) -> dict[int, int]:
    """Models whose processes the driver does not tell, out of what no process explains, in its proportion."""
    here, everywhere = _unexplained(card), sum(_unexplained(each) for each in cards)
    wanted = {model.deployment: (model.memory or 0) * here // everywhere if everywhere else 0 for model in models}
    return _capped(wanted, here)


def _unexplained(card: GpuCard) -> int:
    return max(0, card.total_bytes - card.free_bytes - sum(process.bytes for process in card.processes))


def _capped(wanted: dict[int, int], most: int) -> dict[int, int]:
    """Never more than there is: an engine's word may be older than the driver's."""
    total = sum(wanted.values())
    return wanted if total <= most else {key: size * most // total for key, size in wanted.items()}


def _bar(
    name: str, total: int, free: int, shares: dict[int, int], foreign: dict[str, int], models: Sequence[Loaded]
) -> Bar:
    parts: list[Part] = []
    for model in models:
        held = shares.get(model.deployment, 0)
        weights = _weights(model, held)
        parts += [Part(What.WEIGHTS, weights, model.deployment), Part(What.CACHE, held - weights, model.deployment)]
    parts += [Part(What.PROGRAM, size, program=each) for each, size in sorted(foreign.items(), key=lambda row: -row[1])]
    parts.append(Part(What.REST, total - free - sum(part.bytes for part in parts)))
    return Bar(name, total, free, tuple(part for part in parts if part.bytes > 0))


def _weights(model: Loaded, held: int) -> int:
    """The part of what a model holds here that is weights, as in the whole of it."""
    if not model.memory or not model.weights or model.weights >= model.memory:
        return held
    return held * model.weights // model.memory
