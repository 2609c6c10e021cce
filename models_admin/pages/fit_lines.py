"""A model on each host in a line: fits, what it would unload, whose pin is in the way, what is missing. No HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Min
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family import catalogue
from models_admin.family.sentences import listed
from models_admin.fit.memory_fit import USUAL_CONTEXT
from models_admin.hosts import hosts
from models_admin.loads import deploying
from models_admin.loads.deploying import USUAL_SLOTS, DeployError
from models_admin.loads.outlook import WITHOUT_FILES, Look, Outlook, Verdict, live_pins, look
from models_admin.loads.room import NoRoom
from models_admin.models import Artifact, CatalogueModel, Deployment, Host, Pin
from models_admin.pages.catalogue_view import ENGINES, Line, gibibytes, number
from models_admin.pages.host_view import moment

LOOKS = {
    Verdict.WARM: "fits", Verdict.LOADING: "fits", Verdict.FITS: "fits",
    Verdict.AFTER_UNLOADING: "unload", Verdict.IN_USE: "unload", Verdict.NOT_OURS: "cold",
}  # fmt: skip


@dataclass(frozen=True)
class Needs:
    """Memory of the usual way to run it, and that way in words; '' where it can't be reckoned."""

    memory: str
    way: str


@dataclass(frozen=True)
class Prospect:
    """What it would mean to run a model on a host; `verdict` is that of memory alone where its files are not there."""

    host: Host
    outlook: Outlook
    verdict: Verdict
    unloads: tuple[Deployment, ...]
    pinned_until: datetime | None = None

    @property
    def is_pulled(self) -> bool:
        return self.outlook.verdict not in WITHOUT_FILES


class Board:
    """One reading of all machines, for as many models as a page shows."""

    def __init__(self) -> None:
        self.look: Look = look()
        self._ends: dict[int, datetime | None] = {}
        rows = hosts.with_silence().prefetch_related("engines")
        self.hosts = [
            host for host in rows if any(not engine.is_cloud for engine in host.engines.all()) or host.inventory
        ]

    def lines(self, model: CatalogueModel) -> list[Line]:
        """One for each host; none for a model without files, which only its own engine knows."""
        has_files = any(each.source in ENGINES for each in model.artifacts.all())
        found = ((host, self.prospect(model, host)) for host in self.hosts)
        return [line(each) if each else _nowhere(host) for host, each in found if each or has_files]

    def prospect(self, model: CatalogueModel, host: Host) -> Prospect | None:
        """By its best deployment there, else by its first files that could run there; None where there are none."""
        here = [row for row in self._deployed(model) if row.engine.host_id == host.pk]
        if here:
            return self.of(min((self.look.of(row) for row in here), key=lambda each: list(Verdict).index(each.verdict)))
        wished = next((each for each in model.artifacts.all() if kind_on(each, host)), None)
        return self.of_files(wished, host) if wished else None

    def of_files(self, artifact: Artifact, host: Host, context: int = 0, slots: int = USUAL_SLOTS) -> Prospect:
        kind = kind_on(artifact, host) or ENGINES[artifact.source]
        wish = self.look.for_wish(
            artifact, host, kind=kind, context=context or usual_context(artifact), slots=slots
        )  # fmt: skip
        return self.of(wish)

    def of(self, outlook: Outlook) -> Prospect:
        host = outlook.deployment.engine.host
        if outlook.verdict not in WITHOUT_FILES:
            return Prospect(host, outlook, outlook.verdict, outlook.unloads, outlook.pinned_until)
        room = self.look.room_for(outlook.deployment)
        if isinstance(room, NoRoom):
            return Prospect(host, outlook, Verdict(room.why.value), (), self._first_end(host))
        unloads = tuple(self.look.deployments[each] for each in room.unloads)
        return Prospect(host, outlook, Verdict.AFTER_UNLOADING if unloads else Verdict.FITS, unloads)

    def needs(self, model: CatalogueModel) -> Needs:
        """Of what is deployed where something is, else of the usual way of its first files."""
        deployed = self._deployed(model)
        files = next((each for each in model.artifacts.all() if each.source in ENGINES), None)
        if deployed:
            return _needs(self.look.of(deployed[0]))
        host = next(iter(self.hosts), None) or fleet.local_host()
        return _needs(self.of_files(files, host).outlook) if files else Needs("", "")

    def _first_end(self, host: Host) -> datetime | None:
        """Of the pins there: the earliest moment at which something may change."""
        if host.pk not in self._ends:
            pins = Pin.objects.filter(live_pins(), deployment__engine__host=host)
            self._ends[host.pk] = pins.aggregate(first=Min("ends_at"))["first"]
        return self._ends[host.pk]

    def _deployed(self, model: CatalogueModel) -> list[Deployment]:
        return [row for row in self.look.deployments.values() if row.artifact.model_id == model.pk]


def line(found: Prospect) -> Line:
    return Line(fleet.shown_name(found.host), look_of(found), words(found))


def _nowhere(host: Host) -> Line:
    return Line(fleet.shown_name(host), "cold", _("no engine for it"))


def look_of(found: Prospect) -> str:
    return "cold" if not is_known(found) else LOOKS.get(found.verdict, "no")


def words_of_memory(found: Prospect) -> str:
    """The verdict of memory alone, whether files are there or not."""
    return _words(found) if is_known(found) else _("not known yet")


def words(found: Prospect) -> str:
    text = words_of_memory(found)
    is_only_missing = found.verdict is Verdict.FITS and not found.is_pulled
    return _("%(verdict)s, not pulled") % {"verdict": text} if is_only_missing else text


def is_known(found: Prospect) -> bool:
    """Memory is told for machines that have told of themselves, and models whose need can be reckoned."""
    is_about_memory = found.verdict in (Verdict.FITS, Verdict.AFTER_UNLOADING)
    return not is_about_memory or (found.outlook.needs_bytes is not None and hosts.seen(found.host) is not None)


def names(deployments: Iterable[Deployment]) -> str:
    return listed(row.artifact.model.name for row in deployments)


def kind_on(artifact: Artifact, host: Host) -> str:
    """What such files would run on there, '' where nothing does. `host` with its engines at hand."""
    if artifact.source not in ENGINES:
        return ""
    if artifact.source == Artifact.Source.OLLAMA:
        return "ollama" if any(engine.kind == "ollama" for engine in host.engines.all()) else ""
    try:
        return deploying.usual_kind(artifact, host)
    except DeployError:
        return ""


def usual_context(artifact: Artifact) -> int:
    card = catalogue.first_of((artifact.model.key, artifact.ref))
    return min(USUAL_CONTEXT, card.context) if card else USUAL_CONTEXT


def _words(found: Prospect) -> str:
    until = found.pinned_until
    return {
        Verdict.WARM: _("fits"),
        Verdict.LOADING: _("fits"),
        Verdict.FITS: _("fits"),
        Verdict.AFTER_UNLOADING: _("after unloading %(models)s") % {"models": names(found.unloads)},
        Verdict.IN_USE: _("when others are idle"),
        Verdict.PINNED: _("pinned until %(time)s") % {"time": moment(until)} if until else _("pinned"),
        Verdict.TOO_BIG: _("does not fit"),
        Verdict.HOST_GONE: _("the host is gone"),
        Verdict.FAILED: _("failed there"),
        Verdict.QUARANTINED: _("quarantined there"),
        Verdict.NOT_OURS: _("its engine loads it"),
    }.get(found.verdict, _("not known yet"))


def _needs(found: Outlook) -> Needs:
    row = found.deployment
    context = {"context": _thousands(row.context_tokens), "count": row.slots}
    memory = gibibytes(found.needs_bytes) if found.needs_bytes else ""
    return Needs(memory, _("%(context)s context, %(count)d at once") % context)


def _thousands(tokens: int) -> str:
    return f"{tokens // 1024}k" if tokens >= 1024 and tokens % 1024 == 0 else number(tokens)
