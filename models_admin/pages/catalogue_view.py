"""What the admin's list of models shows, reckoned from rows, cards and this machine's GPUs. No HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils import formats
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family import artifacts, catalogue
from models_admin.family.catalogue import Card
from models_admin.family.expected_memory import Comparison
from models_admin.family.sentences import listed
from models_admin.fit import memory_fit
from models_admin.fit.memory_fit import USUAL_CONTEXT, CannotReckon, Fit, Gpu, Shape, Verdict, Weights
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard
from models_admin.models import Artifact, CatalogueModel, Deployment, Host

ENGINES = {"ollama": "ollama", "hf": "vllm", "gguf": "llama.cpp"}
# What is on sale: (cards, GiB of each), small to large.
USUAL = ((1, 8), (1, 12), (1, 16), (1, 24), (1, 48), (1, 80), (2, 80), (4, 80), (8, 80), (16, 80))
LOOKS = {Verdict.FITS: "fits", Verdict.SHORTER: "unload", Verdict.PARTLY: "unload", Verdict.NOT: "no"}


# What a list of models wants at hand of each.
WITH_ROWS = (
    "artifacts__deployments__engine__host",
    "artifacts__deployments__pins",
    "artifacts__stored_artifacts__host",
    "artifacts__stored_artifacts__jobs",
)


@dataclass(frozen=True)
class Line:
    """A verdict at a place; `look` is fits, unload (with a cost) or no."""

    place: str
    look: str
    text: str


@dataclass(frozen=True)
class Machine:
    """A host with GPUs as its agent saw them last; what our own engines hold of them counts as free."""

    place: str
    gpus: tuple[Gpu, ...]


@dataclass(frozen=True)
class Plan:
    """How much one way to run a model needs, and where that is."""

    title: str
    needed: str
    lines: tuple[Line, ...]


def card_of(model: CatalogueModel) -> Card | None:
    return catalogue.first_of([model.key, *(artifact.ref for artifact in model.artifacts.all())])


def machines() -> list[Machine]:
    """Out of the database: NVIDIA's driver may hang for minutes, and a web server need not have any."""
    rows = Host.objects.prefetch_related("engines").order_by("pk")
    found = [Machine(fleet.shown_name(host), gpus_of(host)) for host in rows]
    return [machine for machine in found if machine.gpus]


def gpus_of(host: Host) -> tuple[Gpu, ...]:
    """Its cards as its agent saw them last; what our own engines hold of them counts as free."""
    seen = hosts.seen(host)
    ports = {_port(engine.base_url) for engine in host.engines.all()}
    return tuple(_gpu(card, ports) for card in seen.gpus) if seen else ()


def _gpu(card: GpuCard, ports: set[int | None]) -> Gpu:
    ours = sum(process.bytes for process in card.processes if not ports.isdisjoint(process.ports))
    return Gpu(card.name, card.total_bytes, min(card.total_bytes, card.free_bytes + ours))


def _port(url: str) -> int | None:
    with suppress(ValueError):
        return urlsplit(url).port
    return None


def plans(model: CatalogueModel, machines: Sequence[Machine]) -> list[Plan]:
    """One for every way that files of it are known here; without files the usual one of its card."""
    card = card_of(model)
    if card is None:
        return []
    known = [row for row in model.artifacts.all() if row.source in ENGINES and row.bytes]
    wanted = [(row.source, row.quantisation, row.bytes or 0) for row in known]
    size = card.download
    usual = "ollama" if card.ollama_tags and size.format == "GGUF" else "hf"
    return [_plan(card, *way, machines) for way in wanted or [(usual, size.quantisation, size.bytes)]]


def _plan(card: Card, source: str, quantisation: str, size: int, machines: Sequence[Machine]) -> Plan:
    engine = ENGINES[source]
    # Files of Ollama's library lack the keys of the compressed cache.
    shape = card.shape.expanded() if engine == "ollama" else card.shape
    found = {way: _fit(Weights(size), shape, engine, _usual_gpus(*way)) for way in USUAL}
    best = next((way for way in USUAL if (fit := found[way]) and fit.verdict is Verdict.FITS), None)
    lines = [_line(machine.place, _fit(Weights(size), shape, engine, machine.gpus)) for machine in machines]
    if best is None:
        lines.append(_line(_usual_name(*USUAL[-1]), found[USUAL[-1]]))
    else:
        before = USUAL.index(best) - 1
        lines += [_line(_usual_name(*way), found[way]) for way in USUAL[max(before, 0) : before + 2]]
    fit = found[best or USUAL[-1]]
    title = " ".join(filter(None, (Artifact.Source(source).label, quantisation)))
    return Plan(title, gibibytes(fit.total) if fit else "", tuple(lines))


def _fit(weights: Weights, shape: Shape, engine: str, gpus: Sequence[Gpu]) -> Fit | None:
    try:
        return memory_fit.fit(weights, shape, gpus, context=min(USUAL_CONTEXT, shape.context_length), engine=engine)
    except CannotReckon:
        return None


def _usual_gpus(count: int, gib: int) -> list[Gpu]:
    return [Gpu.sized(gib)] * count


def _usual_name(count: int, gib: int) -> str:
    return f"{count} × {gib} GB" if count > 1 else f"{gib} GB"


def _line(place: str, fit: Fit | None) -> Line:
    if fit is None:
        return Line(place, "no", _("can't be reckoned"))
    texts = {
        Verdict.FITS: _("fits"),
        Verdict.SHORTER: _("with %(count)s tokens") % {"count": number(fit.longest_context)},
        Verdict.PARTLY: _("partly on CPU: slow"),
        Verdict.NOT: _("does not fit"),
    }
    return Line(place, LOOKS[fit.verdict], texts[fit.verdict])


def memory(deployments: Iterable[Deployment]) -> list[tuple[Deployment, Comparison]]:
    """Where both are known, how far our own sum was from what the engine named."""
    return [
        (row, Comparison(row.expected_bytes, row.measured_bytes))
        for row in deployments
        if row.expected_bytes and row.measured_bytes
    ]


def known_names() -> list[tuple[str, str]]:
    """Names of the catalogue that can be added, each with its model's: tags first, then repositories."""
    return family() + [(card.repository, card.name) for card in catalogue.cards()]


def family() -> list[tuple[str, str]]:
    """The models of Ollama's library: the tag of each, and its name."""
    return [(f"{catalogue.FAMILY}:{card.ollama_tags[0]}", card.name) for card in catalogue.cards() if card.ollama_tags]


def changed(model: CatalogueModel) -> list[Artifact]:
    return [row for row in model.artifacts.all() if artifacts.has_changed(row)]


def deployments(model: CatalogueModel) -> list[Deployment]:
    return [row for artifact in model.artifacts.all() for row in artifact.deployments.all()]


def file_title(artifact: Artifact) -> str:
    """Its quantisation and where it comes from."""
    return listed((artifact.quantisation, str(artifact.get_source_display())))


def gigabytes(size: int) -> str:
    """10^9 bytes, as files and download pages count; small files in 10^6."""
    if size < 1e8:
        return f"{formats.number_format(round(size / 1e6, 1), decimal_pos=1)} MB"
    places = 1 if size < 1e11 else 0
    return f"{formats.number_format(round(size / 1e9, places), decimal_pos=places)} GB"


def gibibytes(size: int) -> str:
    """2^30 bytes, as memory counts: a card sold as 24 GB has 24 GiB; what is small in 2^20."""
    if 0 < size < memory_fit.GIB // 20:
        return f"{formats.number_format(round(size / 2**20))} MiB"
    gib = size / memory_fit.GIB
    places = 1 if gib < 100 else 0
    return f"{formats.number_format(round(gib, places), decimal_pos=places)} GiB"


def number(value: int) -> str:
    return formats.number_format(value, force_grouping=True)


def parameters(card: Card) -> str:
    billions = f"{card.parameters / 1e9:.1f} B"
    if not card.is_mixture:
        return billions
    return _("%(all)s, %(active)s active") % {"all": billions, "active": f"{card.active_parameters / 1e9:.0f} B"}
