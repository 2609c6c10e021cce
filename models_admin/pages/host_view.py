"""Hosts as pages show them, to members and to admins: bars of memory, models, states. From tables only, no HTML."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from django.utils import formats, timezone
from django.utils.translation import gettext as _

from models_admin.backends.capabilities import CAPABILITIES
from models_admin.engines import engine_facts, fleet
from models_admin.family.sentences import listed
from models_admin.hosts import hosts
from models_admin.hosts.inventory import Inventory
from models_admin.models import Deployment, Engine, Host
from models_admin.pages import memory_bars
from models_admin.pages.catalogue_view import gibibytes
from models_admin.pages.memory_bars import Bar, Loaded, What
from models_admin.pages.memory_drawing import Memory, drawn, memory_in_use

State = Deployment.State
LOOKS = {
    State.WARM: "warm", State.STARTING: "loading", State.DRAINING: "waiting",
    State.FAILED: "gone", State.QUARANTINED: "gone",
}  # fmt: skip
ORDER = (State.WARM, State.STARTING, State.DRAINING, State.FAILED, State.QUARANTINED, State.STOPPED)
IN_MEMORY = frozenset({State.WARM, State.STARTING, State.DRAINING})
COLOURS = 4


@dataclass(frozen=True)
class Load:
    """A deployment in a host's table. `colour` is its class in the bars, '' where it is in none."""

    deployment: Deployment
    name: str
    colour: str
    memory: str
    look: str
    state: str

    @property
    def is_in_memory(self) -> bool:
        return self.look in {"warm", "loading", "waiting"}


@dataclass(frozen=True)
class Program:
    """What is none of ours and holds memory of a card."""

    name: str
    memory: str


@dataclass(frozen=True)
class HostView:
    host: Host
    told: Inventory | None
    kind: str
    bars: tuple[Memory, ...]
    loads: tuple[Load, ...]
    programs: tuple[Program, ...]
    used_bytes: int
    total_bytes: int
    is_gone: bool

    @property
    def name(self) -> str:
        return fleet.shown_name(self.host)

    @property
    def percent(self) -> int:
        return round(100 * self.used_bytes / self.total_bytes) if self.total_bytes else 0

    @property
    def used(self) -> str:
        return memory_in_use(self.used_bytes, self.total_bytes)

    @property
    def in_memory(self) -> tuple[Load, ...]:
        return tuple(load for load in self.loads if load.is_in_memory)

    @property
    def has_loaded(self) -> bool:
        return bool(self.in_memory)

    @property
    def loads_on_demand(self) -> bool:
        return any(CAPABILITIES[row.deployment.engine.kind].load for row in self.loads if row.look == "cold")

    @property
    def silent_since(self) -> str:
        return moment(self.host.seen_at) if self.is_gone and self.host.seen_at else ""

    @property
    def why_cut_off(self) -> str:
        return hosts.why_cut_off(self.host)


def own(name_of: Callable[[Deployment], str]) -> list[HostView]:
    """The hosts that have told of themselves or bear an engine; clouds stand elsewhere."""
    found = list(hosts.with_silence().prefetch_related("engines"))
    colours = Colours(deployments(is_cloud=False))
    views = [_view(host, host.is_gone, colours, name_of) for host in found]  # type: ignore[attr-defined]
    return [view for view in views if view.told or view.loads or _engines(view.host)]


def of(host: Host) -> HostView:
    """One host, with all names; `host` comes from `hosts.with_silence`."""
    colours = Colours(deployments(is_cloud=False))
    return _view(host, host.is_gone, colours, lambda row: row.artifact.model.name)  # type: ignore[attr-defined]


def deployments(*, is_cloud: bool) -> list[Deployment]:
    rows = Deployment.objects.filter(engine__is_cloud=is_cloud).select_related("artifact__model", "engine__host")
    # Ready ones first, the largest of them on top.
    return sorted(rows, key=lambda row: (ORDER.index(State(row.state)), -_size(row), row.artifact.model.name, row.pk))


def _size(row: Deployment) -> int:
    return row.measured_bytes or row.expected_bytes or row.artifact.bytes or 0


class Colours:
    """One colour for each model on all hosts; the first four have their own."""

    def __init__(self, rows: Iterable[Deployment]) -> None:
        self.rows = list(rows)
        keys = dict.fromkeys(row.artifact.model_id for row in self.rows if row.state in IN_MEMORY)
        self._numbers = {key: index + 1 for index, key in enumerate(keys)}

    def of(self, row: Deployment) -> str:
        if row.state == State.STARTING:
            return "series-loading"
        number = self._numbers.get(row.artifact.model_id, COLOURS + 1)
        return f"series-{number}" if number <= COLOURS else "series-rest"


def _view(host: Host, is_gone: bool, colours: Colours, name_of: Callable[[Deployment], str]) -> HostView:
    rows = [row for row in colours.rows if row.engine.host_id == host.pk]
    told = hosts.seen(host)
    bars = memory_bars.bars(told, [loaded(row, told) for row in rows if is_loaded(row)]) if told else []
    looks = {row.pk: colours.of(row) for row in rows}
    names = {row.pk: name_of(row) for row in rows}
    return HostView(
        host=host,
        told=told,
        kind=listed((_cards(told), *_engines(host))),
        bars=tuple(drawn(bar, looks, names, len(bars) > 1, index) for index, bar in enumerate(bars)),
        loads=tuple(_load(row, bars, looks[row.pk], names[row.pk]) for row in rows),
        programs=tuple(_programs(bars)),
        used_bytes=sum(bar.used for bar in bars),
        total_bytes=sum(bar.total for bar in bars),
        is_gone=is_gone,
    )


def is_loaded(row: Deployment) -> bool:
    """Whether it is in memory, by its engine's own word where that loads models when they are asked for."""
    seen = _seen(row)
    if seen is not None and CAPABILITIES[row.engine.kind].load:
        return row.state in IN_MEMORY and seen.is_loaded
    return row.state in IN_MEMORY


def _seen(row: Deployment) -> engine_facts.SeenModel | None:
    facts = engine_facts.stored(row.engine)
    return next((model for model in facts.models if model.name == row.artifact.ref), None) if facts else None


def loaded(row: Deployment, told: Inventory | None) -> Loaded:
    port = urlsplit(row.engine.base_url).port
    return Loaded(row.pk, row.engine_id, row.engine.kind, port, _memory_of(row, told), row.artifact.bytes)


def _memory_of(row: Deployment, told: Inventory | None) -> int | None:
    """Bytes on the cards where there are some, else all: by the engine's word, by measure, by our own sum."""
    seen = _seen(row)
    if seen is not None and (seen.gpu_bytes or seen.memory_bytes):
        return (seen.gpu_bytes if told and told.gpus else None) or seen.memory_bytes
    return row.measured_bytes or row.expected_bytes


def _load(row: Deployment, bars: list[Bar], colour: str, name: str) -> Load:
    look, state = state_of(row)
    parts = [part for bar in bars for part in bar.parts if part.deployment == row.pk]
    weights = sum(part.bytes for part in parts if part.what is What.WEIGHTS)
    cache = sum(part.bytes for part in parts if part.what is What.CACHE)
    return Load(row, name, colour if parts else "", _amount(row, weights, cache), look, state)


def _amount(row: Deployment, weights: int, cache: int) -> str:
    if cache:
        return _("%(weights)s + %(cache)s cache") % {"weights": gibibytes(weights), "cache": gibibytes(cache)}
    if weights:
        return _("%(size)s with cache") % {"size": gibibytes(weights)}
    return _("memory not known") if is_loaded(row) else ""


def state_of(row: Deployment) -> tuple[str, str]:
    """The look of its dot, and its word."""
    if row.state == State.WARM and not is_loaded(row):
        return "cold", _("not loaded")
    return LOOKS.get(State(row.state), "cold"), str(row.get_state_display())


def _programs(bars: list[Bar]) -> Iterable[Program]:
    sizes: dict[str, int] = {}
    for part in (part for bar in bars for part in bar.parts if part.what is What.PROGRAM):
        sizes[part.program] = sizes.get(part.program, 0) + part.bytes
    return (Program(name, gibibytes(size)) for name, size in sorted(sizes.items(), key=lambda row: -row[1]))


def _cards(told: Inventory | None) -> str:
    if told is None:
        return ""
    counts: dict[str, int] = {}
    for card in told.gpus:
        counts[card.name] = counts.get(card.name, 0) + 1
    named = (f"{count} × {name}" if count > 1 else name for name, count in counts.items())
    return listed(named) or _("no GPU")


def _engines(host: Host) -> list[str]:
    return list(dict.fromkeys(engine_name(engine) for engine in host.engines.all() if not engine.is_cloud))


def engine_name(engine: Engine) -> str:
    return f"{engine.get_kind_display()} {shown_build(engine)}".strip()


def shown_build(engine: Engine) -> str:
    """'' where a program was built without a number of its own."""
    return "" if "unknown" in engine.build else engine.build


def moment(at: datetime) -> str:
    """A time of today, or a date with it."""
    local = timezone.localtime(at)
    is_today = local.date() == timezone.localdate()
    return formats.date_format(local, "TIME_FORMAT" if is_today else "SHORT_DATETIME_FORMAT")
