"""What having a model on a host would need and whom it would touch, before anything is loaded. From tables, no HTML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family.sentences import listed
from models_admin.hosts import pull_plan
from models_admin.hosts.pull_plan import Plan
from models_admin.loads.outlook import Verdict
from models_admin.models import Artifact, Deployment, Host
from models_admin.pages import catalogue_view, fit_lines, memory_after, model_usage, pin_words, smaller_variant
from models_admin.pages.catalogue_view import gibibytes, gigabytes
from models_admin.pages.fit_lines import Board, Prospect
from models_admin.pages.host_view import moment
from models_admin.pages.memory_drawing import Memory
from models_admin.pages.model_state import about
from models_admin.pages.smaller_variant import Smaller
from models_admin.pulls import pull_words

# In the order of what an admin would choose.
ORDER = list(Verdict)
IN_MEMORY = (Deployment.State.WARM, Deployment.State.STARTING)
HOPELESS = (Verdict.TOO_BIG, Verdict.NOT_OURS, Verdict.HOST_GONE)


@dataclass(frozen=True)
class Wish:
    """How it is to run, as the form checked it. `kind` '' is what such files usually run on there."""

    artifact: Artifact
    context: int
    slots: int
    kind: str
    flags: tuple[tuple[str, str], ...] = ()
    gpus: tuple[int, ...] = ()

    @classmethod
    def of(cls, cleaned: dict[str, Any]) -> Wish:
        return cls(**{name: cleaned[name] for name in ("artifact", "context", "slots", "kind", "flags", "gpus")})


@dataclass(frozen=True)
class Cell:
    """A line, and a smaller one below it."""

    text: str
    sub: str = ""


@dataclass(frozen=True)
class Row:
    """One host. `why_not` is a sentence where nothing can be pulled to it; `smaller` fits where this is too big."""

    host: Host
    found: Prospect
    pull: Plan
    name: str
    look: str
    verdict: str
    memory: Memory | None
    unloads: Cell
    warm_in: Cell
    disk: str
    download: str
    is_pulled: bool
    why_not: str
    is_possible: bool
    smaller: Smaller | None = None


@dataclass(frozen=True)
class View:
    """`rows` best first. The facts are those of the best host."""

    wish: Wish
    rows: tuple[Row, ...]
    download: str
    memory: str
    licence: str

    def only(self, host: Host) -> View:
        return replace(self, rows=tuple(row for row in self.rows if row.host.pk == host.pk))

    @property
    def best(self) -> Row | None:
        return next((row for row in self.rows if row.is_possible), None)


def of(wish: Wish) -> View:
    board = Board()
    found = [each for host in board.hosts if (each := _prospect(board, wish, host))]
    found.sort(key=lambda each: (ORDER.index(each.verdict), each.host.pk))
    usage = model_usage.by_model()
    rows = _with_smaller(board, wish, [_row(board, wish, each, usage) for each in found])
    first = next((row for row in rows if row.is_possible), next(iter(rows), None))
    card = catalogue_view.card_of(wish.artifact.model)
    return View(
        wish,
        rows,
        first.download if first else _size(wish.artifact),
        _weights_and_cache(wish, found),
        " + ".join(filter(None, (card.licence, card.base_licence))) if card else _("not known"),
    )


def _with_smaller(board: Board, wish: Wish, rows: Sequence[Row]) -> tuple[Row, ...]:
    if all(row.found.verdict is not Verdict.TOO_BIG for row in rows):
        return tuple(rows)
    family = smaller_variant.smaller_of_family(wish.artifact)
    how = {"context": wish.context, "slots": wish.slots}
    return tuple(
        replace(row, smaller=smaller_variant.fitting(board, family, row.host, **how))
        if row.found.verdict is Verdict.TOO_BIG else row
        for row in rows
    )  # fmt: skip


def _prospect(board: Board, wish: Wish, host: Host) -> Prospect | None:
    """None where nothing runs such files. What lies in memory there already is not reckoned a second time."""
    for row in board.look.deployments.values():
        if row.artifact_id == wish.artifact.pk and row.engine.host_id == host.pk and row.state in IN_MEMORY:
            return board.of(board.look.of(row))
    usual = fit_lines.kind_on(wish.artifact, host)
    if not usual:
        return None
    outlook = board.look.for_wish(
        wish.artifact, host, kind=wish.kind or usual, context=wish.context, slots=wish.slots, flags=wish.flags
    )  # fmt: skip
    return board.of(outlook)


def _row(board: Board, wish: Wish, found: Prospect, usage: dict[str, model_usage.Usage]) -> Row:
    pull = pull_plan.plan(wish.artifact, found.host)
    here = [row for row in board.look.deployments.values() if row.engine.host_id == found.host.pk]
    is_here = found.verdict in (Verdict.WARM, Verdict.LOADING)
    needs = found.outlook.needs_bytes or 0
    why_not = "" if pull.is_ready else pull.why_not
    return Row(
        host=found.host,
        found=found,
        pull=pull,
        name=fleet.shown_name(found.host),
        look=fit_lines.look_of(found),
        verdict=_("in memory already") if is_here else fit_lines.words_of_memory(found),
        memory=memory_after.drawn(found.host, here, found.unloads, artifact=wish.artifact, needs=needs),
        unloads=_unloads(found, here, usage),
        warm_in=_warm_in(found, pull),
        disk=_disk(pull),
        download=_download(wish.artifact, pull),
        is_pulled=pull.is_ready,
        why_not=why_not,
        is_possible=not why_not and not is_here and found.verdict not in HOPELESS,
    )


def _unloads(found: Prospect, here: Sequence[Deployment], usage: dict[str, model_usage.Usage]) -> Cell:
    if found.unloads:
        last = max((row.last_used_at for row in found.unloads if row.last_used_at), default=None)
        people = sum(usage[key].people for key in {row.artifact.model.key for row in found.unloads} if key in usage)
        told = (_("%(count)d people this week") % {"count": people} if people else "", _last_used(last))
        return Cell(fit_lines.names(found.unloads), listed(told))
    if found.verdict is Verdict.PINNED:
        pinned = [(row, pin) for row in here if (pin := pin_words.longest_pin(row))]
        names = listed(row.artifact.model.name for row, _pin in pinned)
        why = listed(f"{pin_words.pinned_until(pin)}: {pin.reason}" for _row, pin in pinned)
        return Cell(_("%(models)s stays") % {"models": names}, why)
    return Cell(_("whatever is idle by then") if found.verdict is Verdict.IN_USE else _("nothing"))


def _last_used(at: Any) -> str:
    if at is None:
        return ""
    ago = max(timedelta(0), timezone.now() - at)
    return _("last used %(time)s ago") % {"time": pull_words.duration(int(ago.total_seconds()))}


def _warm_in(found: Prospect, pull: Plan) -> Cell:
    if found.verdict is Verdict.TOO_BIG:
        return Cell("–")
    if found.verdict is Verdict.PINNED:
        until = found.pinned_until
        return Cell(_("not before %(time)s") % {"time": moment(until)} if until else _("when the pin is gone"))
    load, loading = found.outlook.seconds, _("load not measured yet")
    if load is not None:
        loading = _("%(time)s to load") % {"time": pull_words.duration(load)}
    if pull.is_ready:
        return Cell(about(load) if load is not None else "–", "" if load is not None else loading)
    if pull.seconds is None:
        return Cell("–", _("the network was not measured yet"))
    pulling = _("%(time)s to pull") % {"time": pull_words.duration(pull.seconds)}
    return Cell(about(pull.seconds + (load or 0)), listed((pulling, loading)))


def _disk(pull: Plan) -> str:
    if pull.free is None:
        return _("room not known")
    is_enough = pull.missing is None or pull.missing <= pull.free
    told = {"size": gigabytes(pull.free)}
    return _("%(size)s free, enough") % told if is_enough else _("%(size)s free, too little") % told


def _download(artifact: Artifact, pull: Plan) -> str:
    if pull.is_ready:
        return _("nothing, it is there")
    time = about(pull.seconds) if pull.seconds is not None else ""
    size = gigabytes(pull.missing) if pull.missing is not None else _size(artifact)
    return listed((size, time))


def _size(artifact: Artifact) -> str:
    return gigabytes(artifact.bytes) if artifact.bytes else _("size not known")


def _weights_and_cache(wish: Wish, found: Sequence[Prospect]) -> str:
    needs = next((each.outlook.needs_bytes for each in found if each.outlook.needs_bytes), None)
    weights = wish.artifact.bytes
    if needs is None or not weights:
        return _("not known")
    return f"{gibibytes(weights)} + {gibibytes(needs - weights)}" if needs > weights else gibibytes(needs)
