"""Which R1 a machine is proposed first: the largest that fits with room to think, and its neighbours. From tables."""

from __future__ import annotations

from dataclasses import dataclass, replace

from models_admin.family import catalogue, memory_sources
from models_admin.family.catalogue import Card
from models_admin.family.memory_sources import SourceError, Subject
from models_admin.fit import memory_fit
from models_admin.fit.memory_fit import SHORTEST_CONTEXT, USUAL_CONTEXT, Fit, Gpu, Verdict
from models_admin.hosts import pull_plan
from models_admin.hosts.inventory import Inventory
from models_admin.models import Artifact, Engine, Host
from models_admin.pages import catalogue_view

PEOPLE = 4
# A processor writes a few tokens a second of 8B, and R1's thoughts are thousands of tokens long.
MOST_PARAMETERS_WITHOUT_GPU = 9_000_000_000
Kind = Engine.Kind
# Programs of a host that read what GPUs hold, in the order of preference.
PROGRAMS = (("llama-server", Kind.LLAMA_CPP), ("vllm", Kind.VLLM), ("sglang", Kind.SGLANG))
SOURCES = {
    Kind.OLLAMA: Artifact.Source.OLLAMA, Kind.LLAMA_CPP: Artifact.Source.GGUF,
    Kind.VLLM: Artifact.Source.HF, Kind.SGLANG: Artifact.Source.HF,
}  # fmt: skip


@dataclass(frozen=True)
class Way:
    """What would load a model here. `gpus` are those that it uses; `leaves_gpus`: there are some, and it uses none."""

    kind: Engine.Kind
    gpus: tuple[Gpu, ...]
    ram_bytes: int
    leaves_gpus: bool = False


@dataclass(frozen=True)
class Wish:
    """What shall be pulled and loaded; '' and 0 = as is usual for such files. `context` tokens, `slots` at once."""

    name: str
    source: str = ""
    kind: str = ""
    context: int = 0
    slots: int = 0


@dataclass(frozen=True)
class Option:
    """A model that could be taken. `context` tokens for each of `slots` people at once; `ref` as its source calls it.

    `missing_disk` in bytes, 0 where there is room. `look` is fits, tight (less context or fewer people), slow (partly
    on the processor) or no.
    """

    card: Card
    ref: str
    source: Artifact.Source
    kind: Engine.Kind
    quantisation: str
    context: int
    slots: int
    disk_bytes: int
    missing_disk: int
    fit: Fit
    look: str
    is_suggested: bool = False

    @property
    def key(self) -> str:
        return self.card.key

    @property
    def wish(self) -> Wish:
        return Wish(self.ref, self.source, self.kind, self.context, self.slots)

    @property
    def can_be_taken(self) -> bool:
        return self.look != "no" and not self.missing_disk


@dataclass(frozen=True)
class Proposal:
    """`options` the largest first; at most one is suggested."""

    way: Way
    options: tuple[Option, ...]

    @property
    def suggested(self) -> Option | None:
        return next((option for option in self.options if option.is_suggested), None)

    def find(self, key: str) -> Option | None:
        return next((option for option in self.options if option.key == key), None)


def propose(host: Host, told: Inventory) -> Proposal:
    """The largest that fits, the next larger and the next smaller one; where none fits, the two smallest."""
    every = all_of(host, told)
    best = next((i for i, option in enumerate(every.options) if option.is_suggested), None)
    shown = every.options[-2:] if best is None else every.options[max(0, best - 1) : best + 2]
    return replace(every, options=shown)


def all_of(host: Host, told: Inventory) -> Proposal:
    """Every current model of the family that this machine has a way for."""
    way = way_of(host, told)
    subjects = _subjects(way)
    options = [_option(card, subject, way, told) for card, subject in subjects]
    has_room = [subject for (_, subject), option in zip(subjects, options, strict=True) if not option.missing_disk]
    best = memory_fit.next_that_fits(
        has_room, way.gpus, context=USUAL_CONTEXT, slots=PEOPLE, engine=way.kind, ram=way.ram_bytes
    )
    return Proposal(
        way,
        tuple(
            replace(option, is_suggested=subject is best)
            for (_, subject), option in zip(subjects, options, strict=True)
        ),
    )


def way_of(host: Host, told: Inventory) -> Way:
    """An attached Ollama, else a program that uses the GPUs, else the built-in llama.cpp, which has the processor."""
    gpus = catalogue_view.gpus_of(host)
    ram = min(told.memory_free_bytes, host.memory_limit_bytes or told.memory_free_bytes)
    if pull_plan.ollama_of(host):
        return Way(Kind.OLLAMA, gpus, ram)
    installed = {program.name for program in told.programs}
    program = next((kind for name, kind in PROGRAMS if name in installed), None) if gpus else None
    if program is not None:
        return Way(program, gpus, ram)
    return Way(Kind.LLAMA_CPP, (), ram, leaves_gpus=bool(gpus))


def _subjects(way: Way) -> list[tuple[Card, Subject]]:
    """The files that this way loads, the largest first."""
    found = []
    for card in catalogue.cards():
        is_too_slow = not way.gpus and card.active_parameters > MOST_PARAMETERS_WITHOUT_GPU
        if is_too_slow or not _is_current(card) or not _has_files(card, way.kind):
            continue
        try:
            found.append((card, memory_sources.from_card(card, engine=way.kind)))
        except SourceError:
            continue  # no size of such files is known
    return sorted(found, key=lambda each: -each[1].weights.total)


def _is_current(card: Card) -> bool:
    """Ollama's plain tags mean the newest model of each size; the tags of others have more words."""
    return any("-" not in tag for tag in card.ollama_tags)


def _has_files(card: Card, kind: Engine.Kind) -> bool:
    """Of GGUF files one has to be known by its name: a repository holds many."""
    return kind != Kind.LLAMA_CPP or any(files.format == "GGUF" and files.file for files in card.repositories)


def _option(card: Card, subject: Subject, way: Way, told: Inventory) -> Option:
    fit, look = _best_fit(subject, way)
    size, free = subject.weights.total, told.disk_free_bytes
    return Option(
        card=card,
        ref=card.repository if SOURCES[way.kind] == Artifact.Source.HF else card.key,
        source=SOURCES[way.kind],
        kind=way.kind,
        quantisation=subject.quantisation,
        context=fit.context,
        slots=fit.wish.slots,
        disk_bytes=size,
        missing_disk=0 if free is None else max(0, size - free),
        fit=fit,
        look=look,
    )


def _best_fit(subject: Subject, way: Way) -> tuple[Fit, str]:
    """With the whole context for all, else for one person, else with the longest that there is room for."""
    fits = [_fit(subject, way, slots) for slots in (PEOPLE, 1)]
    whole = Verdict.FITS if way.gpus else Verdict.PARTLY
    if fits[0].verdict is whole:
        return fits[0], "fits"
    for fit in fits:
        if fit.verdict is whole or (fit.verdict is Verdict.SHORTER and fit.longest_context >= 2 * SHORTEST_CONTEXT):
            return fit, "tight"
    return fits[1], "slow" if fits[1].verdict in (Verdict.PARTLY, Verdict.SHORTER) else "no"


def _fit(subject: Subject, way: Way, slots: int) -> Fit:
    return memory_fit.fit(
        subject.weights,
        subject.shape,
        way.gpus,
        context=USUAL_CONTEXT,
        slots=slots,
        engine=way.kind,
        ram=way.ram_bytes,
    )
