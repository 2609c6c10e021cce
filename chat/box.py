"""The box as members see it: machines, models, how fast, how full, what is pinned, and who waits. From tables."""

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
from chat import box_line, cold_models, pace
from chat.box_line import Queue
from chat.pace import Pace
from models_admin.engines import access, engine_facts, fleet
from models_admin.loads import outlook, warm_words
from models_admin.models import Deployment, Engine, Pin
from models_admin.pages import host_view, pin_words
from models_admin.pages.host_view import HostView, Load
from models_admin.pages.memory_drawing import memory_in_use


@dataclass(frozen=True)
class Row:
    """A line of a host's table. `note` stands under the model's name: why it is not warm; `pin` until when it stays."""

    load: Load
    activity: str
    pin: str = ""
    note: str = ""

    @property
    def state(self) -> str:
        row = self.load.deployment
        if row.state != Deployment.State.STARTING:
            return self.load.state
        if row.progress is not None:
            return _("loading, %(percent)d %%") % {"percent": row.progress}
        return _("loading now") if row.stage in ("", "loading") else warm_words.stage(row)


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
class Box:
    hosts: tuple[Place, ...]
    clouds: tuple[Place, ...]
    queues: tuple[Queue, ...]
    running: int
    waiting: int
    has_engine: bool
    has_names: bool
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
    pins = _pins(box_line.may_see_names(user))
    hosts = tuple(_host(view, paces, waits, pins) for view in host_view.own(name_of))
    return Box(
        hosts=hosts,
        clouds=tuple(_clouds(clouds, paces, waits, user)),
        queues=tuple(box_line.queues(user, line)),
        running=sum(fleet.slots_in_use().values()),
        waiting=len({each.user for each in line}),
        has_engine=Engine.objects.exists(),
        has_names=box_line.may_see_names(user),
        at=timezone.now(),
    )


@dataclass(frozen=True)
class Gauge:
    """How full a host is, 0 to 100; None while it is silent."""

    name: str
    percent: int | None


@dataclass(frozen=True)
class Glance:
    """How full each host is, and who waits or is silent, in a word."""

    hosts: tuple[Gauge, ...]
    word: str


def glance() -> Glance:
    views = host_view.own(lambda row: row.artifact.model.name)
    hosts = tuple(Gauge(fleet.shown_name(view.host), None if view.is_gone else view.percent) for view in views)
    silent = next((gauge.name for gauge in hosts if gauge.percent is None), None)
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
    """Models that a person does not see have no name for him, but their memory is taken all the same."""
    may = access.of(user)

    def name_of(row: Deployment) -> str:
        model = row.artifact.model
        is_seen = user.is_staff or (model.is_visible and may.sees(model.key))
        return model.name if is_seen else _("Another model")

    return name_of


def _host(view: HostView, paces: dict[int, Pace], waits: dict[str, int], pins: dict[int, str]) -> Place:
    rows = tuple(_row(load, paces, pins.get(load.deployment.pk, "")) for load in view.loads)
    return _place(fleet.shown_name(view.host), view.kind, rows, paces, waits, view=view)


def _row(load: Load, paces: dict[int, Pace], pin: str) -> Row:
    return Row(load, _activity(load.deployment, paces), pin, _why_not_warm(load.deployment))


def _why_not_warm(row: Deployment) -> str:
    """An engine of somebody else's leaves no reason when it falls silent."""
    if row.state not in Deployment.OUT_OF_MEMORY:
        return ""
    silent = _("Its engine does not answer.") if row.state == Deployment.State.FAILED else ""
    return warm_words.reason(row) or silent


def _pins(has_names: bool) -> dict[int, str]:
    """Deployment → the longest of its pins in words, with its owner where names are shown."""
    by_deployment: dict[int, list[Pin]] = {}
    for pin in Pin.objects.filter(outlook.live_pins()):
        by_deployment.setdefault(pin.deployment_id, []).append(pin)
    return {pk: _pin(pin_words.holding(pins)[0], has_names) for pk, pins in by_deployment.items()}


def _pin(pin: Pin, has_names: bool) -> str:
    until = pin_words.pinned_until(pin) if has_names else _pinned_until(pin)
    return _("%(pinned)s: %(reason)s") % {"pinned": until, "reason": pin.reason} if pin.reason else until


def _pinned_until(pin: Pin) -> str:
    return _("pinned until %(time)s") % {"time": host_view.moment(pin.ends_at)} if pin.ends_at else _("pinned")


def _clouds(found: list[Deployment], paces: dict[int, Pace], waits: dict[str, int], user: User) -> Iterable[Place]:
    name_of = _namer(user)
    for engine in dict.fromkeys(row.engine for row in found):
        loads = [
            Load(row, name_of(row), "", "", *host_view.state_of(row)) for row in found if row.engine_id == engine.pk
        ]
        rows = tuple(_row(load, paces, "") for load in loads)
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
    if row.state == Deployment.State.STARTING:
        seconds = cold_models.seconds_left(row)
        return _("ready in about %(seconds)d s") % {"seconds": seconds} if seconds else ""
    if row.state != Deployment.State.WARM:
        return ""
    if found.ended_at is None:
        return _("idle")
    minutes = int((timezone.now() - found.ended_at).total_seconds()) // 60
    return _("idle for %(minutes)d min") % {"minutes": minutes} if minutes else _("answered just now")
