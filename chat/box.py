"""The box as members see it: machines, models, how fast, how full, and who waits as numbers only. From tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from accounts import rights
from accounts.models import User
from chat import pace, waiting
from chat.pace import Pace, Waiting
from models_admin import engine_facts, fleet, host_view
from models_admin.host_view import HostView, Load
from models_admin.memory_drawing import memory_in_use
from models_admin.models import CatalogueModel, Deployment, Engine


@dataclass(frozen=True)
class Row:
    """A line of a host's table."""

    load: Load
    activity: str


@dataclass(frozen=True)
class Place:
    """A host, or a cloud, with its numbers. `amounts` is the cloud's balance, for admins only."""

    name: str
    kind: str
    rows: tuple[Row, ...]
    tokens_per_second: int
    running: int
    waiting: int
    view: HostView | None = None
    amounts: str = ""


@dataclass(frozen=True)
class Queue:
    """Who waits for a model: how many, why, and the reader's own place (0: he does not)."""

    model: str
    count: int
    why: str
    place: int = 0


@dataclass(frozen=True)
class Box:
    hosts: tuple[Place, ...]
    clouds: tuple[Place, ...]
    queues: tuple[Queue, ...]
    running: int
    waiting: int
    has_engine: bool
    at: datetime

    @property
    def gone(self) -> list[Place]:
        return [place for place in self.hosts if place.view and place.view.is_gone]

    @property
    def used(self) -> str:
        here = [place.view for place in self.hosts if place.view and not place.view.is_gone and place.view.bars]
        return memory_in_use(
            sum(view.used_bytes for view in here), sum(view.total_bytes for view in here)
        ) if here else ""  # fmt: skip


def box(user: User) -> Box:
    """What this person may see of it."""
    name_of = _namer(user)
    paces, line = pace.paces(timezone.now()), pace.waiting(timezone.now())
    waits = Counter(each.model for each in line)
    clouds = host_view.deployments(is_cloud=True) if rights.may_use_cloud(user) else []
    hosts = tuple(_host(view, paces, waits) for view in host_view.own(name_of))
    return Box(
        hosts=hosts,
        clouds=tuple(_clouds(clouds, paces, waits, user)),
        queues=tuple(_queues(user, line)),
        running=sum(fleet.slots_in_use().values()),
        waiting=len({each.user for each in line}),
        has_engine=Engine.objects.exists(),
        at=timezone.now(),
    )


@dataclass(frozen=True)
class Glance:
    """How full each host is, and who waits or is silent, in a word."""

    hosts: tuple[HostView, ...]
    word: str


def glance() -> Glance:
    hosts = tuple(host_view.own(lambda row: row.artifact.model.name))
    silent = next((view.name for view in hosts if view.is_gone), None)
    if silent:
        return Glance(hosts, _("%(host)s is silent") % {"host": silent})
    count = len({each.user for each in pace.waiting(timezone.now())})
    return Glance(hosts, _("%(count)d waiting") % {"count": count} if count else "")


def lead(seen: Box) -> str:
    """The state of the box in two or three sentences."""
    sentences = []
    if seen.gone:
        answering = len(seen.hosts) - len(seen.gone)
        sentences.append(_("%(answering)d of %(hosts)d hosts answer.") % {
            "answering": answering, "hosts": len(seen.hosts)
        })  # fmt: skip
    if seen.running:
        text = ngettext("One answer is being written.", "%(count)d answers are being written.", seen.running)
        sentences.append(text % {"count": seen.running})
    people = ngettext("One person waits.", "%(count)d people wait.", seen.waiting) if seen.waiting else ""
    sentences.append(people % {"count": seen.waiting} if people else _("Nobody is waiting."))
    if seen.used:
        sentences.append(_("Memory: %(used)s.") % {"used": seen.used})
    return (" " if not (get_language() or "").startswith("zh") else "").join(sentences)


def _namer(user: User) -> Any:
    """Models that people may not ask for have no name for them, but their memory is taken all the same."""

    def name_of(row: Deployment) -> str:
        model = row.artifact.model
        return model.name if model.is_visible or user.is_staff else _("Another model")

    return name_of


def _host(view: HostView, paces: dict[int, Pace], waits: dict[str, int]) -> Place:
    rows = tuple(Row(load, _activity(load.deployment, paces)) for load in view.loads)
    return _place(view.name, view.kind, rows, paces, waits, view=view)


def _clouds(found: list[Deployment], paces: dict[int, Pace], waits: dict[str, int], user: User) -> Iterable[Place]:
    name_of = _namer(user)
    for engine in dict.fromkeys(row.engine for row in found):
        loads = [
            Load(row, name_of(row), "", "", *host_view.state_of(row)) for row in found if row.engine_id == engine.pk
        ]
        rows = tuple(Row(load, _activity(load.deployment, paces)) for load in loads)
        amounts = balance(engine) if user.has_perm("models_admin.view_engine") else ""
        yield _place(str(engine.get_kind_display()), "", rows, paces, waits, amounts=amounts)


def balance(engine: Engine) -> str:
    """Money left with a cloud, as it said."""
    facts = engine_facts.stored(engine)
    told = facts.balances if facts else ()
    return ", ".join(f"{each.micro / 1_000_000:.2f} {each.currency}" for each in told)


def _place(
    name: str, kind: str, rows: tuple[Row, ...], paces: dict[int, Pace], waits: dict[str, int], **more: Any
) -> Place:
    here = [paces.get(row.load.deployment.pk, Pace()) for row in rows]
    models = {row.load.deployment.artifact.model.key for row in rows}
    return Place(
        name=name,
        kind=kind,
        rows=rows,
        tokens_per_second=round(sum(each.tokens_per_second for each in here)),
        running=sum(each.running for each in here),
        waiting=sum(waits.get(model, 0) for model in models),
        **more,
    )


def _activity(row: Deployment, paces: dict[int, Pace]) -> str:
    found = paces.get(row.pk, Pace())
    if found.running:
        about = {"running": found.running, "slots": row.slots, "rate": round(found.each)}
        if not about["rate"]:
            return _("%(running)d of %(slots)d running") % about
        return _("%(running)d of %(slots)d running, %(rate)d tokens/s each") % about
    if row.state != Deployment.State.WARM:
        return ""
    if found.ended_at is None:
        return _("idle")
    return _("idle for %(minutes)d min") % {"minutes": (timezone.now() - found.ended_at).total_seconds() // 60}


def _queues(user: User, line: list[Waiting]) -> Iterable[Queue]:
    waits = Counter(each.model for each in line)
    models = {model.key: model for model in CatalogueModel.objects.filter(key__in=waits)}
    own = [each for each in line if each.user == user.pk]
    places = waiting.places_in_line() if own else {}
    mine: dict[str, int] = {}
    for each in own:
        if each.id in places:
            mine.setdefault(each.model, places[each.id][0] + 1)
    for key, count in waits.most_common():
        model = models.get(key)
        is_shown = bool(model and (model.is_visible or user.is_staff))
        name = model.name if model and is_shown else _("Another model")
        yield Queue(name, count, _why(key), mine.get(key, 0))


def _why(key: str) -> str:
    if fleet.warm_deployments(key):
        return _("all slots are taken")
    is_starting = Deployment.objects.filter(artifact__model__key=key, state=Deployment.State.STARTING).exists()
    return _("its engine is starting") if is_starting else _("no engine answers for it")
