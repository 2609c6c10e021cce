"""What it means to have a model warm on a host: whether it fits, what has to go, how long it takes. From tables."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.utils import timezone

from models_admin.backends.capabilities import CAPABILITIES
from models_admin.engines import engine_address
from models_admin.hosts import hosts
from models_admin.loads import memory_need, room
from models_admin.loads.room import Card, Need, NoRoom, Resident, Room
from models_admin.models import Artifact, Deployment, Engine, Host, Launch, Pin, PullJob, SlotLease, StoredArtifact

State = Deployment.State
IN_MEMORY = (State.WARM, State.STARTING)
EMPTY_ROOM = Room()


class Verdict(StrEnum):
    """Best first: the order in which one of several deployments of a model is chosen."""

    WARM = "warm"
    LOADING = "loading"
    FITS = "fits"
    AFTER_UNLOADING = "after_unloading"
    IN_USE = "in_use"
    PINNED = "pinned"
    PULLING = "pulling"
    PULL_PAUSED = "pull_paused"
    NOT_PULLED = "not_pulled"
    PULL_FAILED = "pull_failed"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    TOO_BIG = "too_big"
    HOST_GONE = "host_gone"
    NOT_OURS = "not_ours"


ORDER = list(Verdict)
WITHOUT_FILES = frozenset({Verdict.PULLING, Verdict.PULL_PAUSED, Verdict.NOT_PULLED, Verdict.PULL_FAILED})


@dataclass(frozen=True)
class Outlook:
    """`deployment` may not be stored yet. `unloads` would have to go; `cards` it would get, where it takes whole ones.

    `seconds` until its first token by its own last load, None = never seen. `pinned_until` is the end of the pin that
    is in the way, None also where it has none. `pull_reason` is why its last pull failed (a word of `pull_words`).
    NOT_OURS: nobody here can load it, its engine runs by itself.
    """

    deployment: Deployment
    verdict: Verdict
    needs_bytes: int | None = None
    unloads: tuple[Deployment, ...] = ()
    cards: tuple[int, ...] = ()
    seconds: int | None = None
    pinned_until: datetime | None = None
    pull_reason: str = ""


def of(deployment: Deployment) -> Outlook:
    return look().of(deployment)


def for_model(model_key: str) -> Outlook | None:
    """The best of its deployments on machines of our own; None where it has none."""
    return look().for_model(model_key)


def for_wish(
    artifact: Artifact,
    host: Host,
    *,
    kind: str,
    context: int,
    slots: int,
    flags: Iterable[tuple[str, str]] = (),
) -> Outlook:
    """The same for what is not deployed yet. `kind` is that of an engine (`Engine.Kind`)."""
    return look().for_wish(artifact, host, kind=kind, context=context, slots=slots, flags=flags)


def is_loadable(deployment: Deployment) -> bool:
    """Whether this site can put it into memory: its host launches it, or its engine loads when it is told to."""
    return hasattr(deployment, "launch") or CAPABILITIES[deployment.engine.kind].load


def look() -> Look:
    return Look()


class Look:
    """One reading of all that lies in memory; as many questions as wanted can be put to it."""

    def __init__(self) -> None:
        rows = Deployment.objects.filter(engine__is_cloud=False).select_related(
            "engine__host", "artifact__model", "launch"
        )
        self.deployments = {row.pk: row for row in rows.order_by("pk")}
        self._busy = set(SlotLease.objects.values_list("deployment_id", flat=True))
        self._pins = _pins()
        self._gone = set(hosts.gone().values_list("pk", flat=True))
        self._stored = {(row.host_id, row.artifact_id): row for row in _stored()}

    def for_model(self, model_key: str) -> Outlook | None:
        return next(iter(self.all_of_model(model_key)), None)

    def all_of_model(self, model_key: str) -> list[Outlook]:
        """Of all its deployments, best first."""
        rows = (row for row in self.deployments.values() if row.artifact.model.key == model_key)
        return sorted((self.of(row) for row in rows), key=_merit)

    def for_wish(
        self,
        artifact: Artifact,
        host: Host,
        *,
        kind: str,
        context: int,
        slots: int,
        flags: Iterable[tuple[str, str]] = (),
    ) -> Outlook:
        engine = Engine(host=host, kind=kind)
        deployment = Deployment(
            engine=engine, artifact=artifact, context_tokens=context, slots=slots, state=State.STOPPED
        )
        if not CAPABILITIES[kind].load:
            deployment.launch = Launch(program=kind, flags=list(flags))
        return self.of(deployment)

    def of(self, deployment: Deployment, *, is_retry: bool = False) -> Outlook:
        """`is_retry`: as if it had not failed."""
        host = deployment.engine.host
        need, found = self._need_and_room(deployment)
        verdict = self._verdict(deployment, found, is_retry=is_retry)
        about = found if isinstance(found, Room) else EMPTY_ROOM
        unloads = tuple(self.deployments[each] for each in about.unloads)
        return Outlook(
            deployment,
            verdict,
            needs_bytes=need.bytes * (need.cards or 1) if need else None,
            unloads=unloads if verdict is Verdict.AFTER_UNLOADING else (),
            cards=about.cards,
            seconds=self._seconds(deployment),
            pinned_until=self._pinned_until(host) if verdict is Verdict.PINNED else None,
            pull_reason=self._pull_reason(deployment) if verdict is Verdict.PULL_FAILED else "",
        )

    def room_for(self, deployment: Deployment) -> Room | NoRoom:
        """What would have to go for it. Where host or size is not known, it is tried."""
        return self._need_and_room(deployment)[1]

    def _need_and_room(self, deployment: Deployment) -> tuple[Need | None, Room | NoRoom]:
        cards, has_gpu = self._cards(deployment.engine.host, but=deployment)
        need = memory_need.of(deployment, cards, has_gpu=has_gpu)
        if need is None or not cards:
            return need, EMPTY_ROOM
        residents = [self._resident(row, cards, has_gpu) for row in self._in_memory(deployment.engine.host, deployment)]
        return need, room.make_room(need, cards, residents)

    def in_the_way(self, deployment: Deployment) -> tuple[Deployment, ...]:
        """What would have to go for it, were nothing in use; () where that would not do, or something still loads."""
        cards, has_gpu = self._cards(deployment.engine.host, but=deployment)
        need = memory_need.of(deployment, cards, has_gpu=has_gpu)
        if need is None or not cards:
            return ()
        rows = self._in_memory(deployment.engine.host, deployment)
        idle = [replace(self._resident(row, cards, has_gpu), is_busy=row.state != State.WARM) for row in rows]
        found = room.make_room(need, cards, idle)
        return tuple(self.deployments[each] for each in found.unloads) if isinstance(found, Room) else ()

    def is_pinned(self, deployment: Deployment) -> bool:
        return deployment.pk in self._pins

    def _verdict(self, row: Deployment, found: Room | NoRoom, *, is_retry: bool) -> Verdict:
        if row.state == State.WARM:
            return Verdict.WARM
        if row.engine.host_id in self._gone:
            return Verdict.HOST_GONE
        if row.state == State.STARTING and (is_loadable(row) or row.engine.is_launched):
            return Verdict.LOADING
        if not is_loadable(row):
            return Verdict.FAILED if row.state == State.FAILED else Verdict.NOT_OURS
        stopped = {State.FAILED: Verdict.FAILED, State.QUARANTINED: Verdict.QUARANTINED}.get(State(row.state))
        return (None if is_retry else stopped) or self._of_files(row) or _of_room(found)

    def _of_files(self, row: Deployment) -> Verdict | None:
        """None where they are there, or where nobody pulls them for us."""
        stored = self._stored.get((row.engine.host_id, row.artifact_id))
        state = stored.state if stored else None
        if state == StoredArtifact.State.READY or is_file_of_host(row.artifact):
            return None
        if state in (StoredArtifact.State.PULLING, StoredArtifact.State.VERIFYING):
            return Verdict.PULLING
        if state == StoredArtifact.State.PAUSED:
            return Verdict.PULL_PAUSED
        if stored and stored.last_pull == PullJob.State.FAILED:
            return Verdict.PULL_FAILED
        is_elsewhere = row.artifact.source == Artifact.Source.API or (state is None and not hasattr(row, "launch"))
        return None if is_elsewhere and row.pk else Verdict.NOT_PULLED

    def _pull_reason(self, row: Deployment) -> str:
        stored = self._stored.get((row.engine.host_id, row.artifact_id))
        return stored.last_reason if stored else ""

    def _cards(self, host: Host, but: Deployment | None = None) -> tuple[list[Card], bool]:
        """Memory for models, by the agent's last word and by what we know to be loaded: the word may be 10 s old."""
        told = hosts.seen(host)
        if told is None or (but is not None and not lies_on_host(but)):
            return [], False
        cards = [Card(card.total_bytes, card.free_bytes) for card in told.gpus]
        if not cards:
            total = min(told.memory_total_bytes, host.memory_limit_bytes or told.memory_total_bytes)
            cards = [Card(total, min(told.memory_free_bytes, total))]
        residents = [self._resident(row, cards, bool(told.gpus)) for row in self._in_memory(host, but)]
        return room.without(cards, residents), bool(told.gpus)

    def _in_memory(self, host: Host, but: Deployment | None) -> list[Deployment]:
        here = (
            row
            for row in self.deployments.values()
            if row.engine.host_id == host.pk and row.state in IN_MEMORY and lies_on_host(row)
        )
        return [row for row in here if but is None or row.pk != but.pk]

    def _resident(self, row: Deployment, cards: list[Card], has_gpu: bool) -> Resident:
        launch = getattr(row, "launch", None)
        used = row.last_used_at or row.state_since or timezone.now()
        return Resident(
            row.pk,
            need.bytes * (need.cards or 1) if (need := memory_need.of(row, cards, has_gpu=has_gpu)) else 0,
            used.timestamp(),
            is_busy=row.pk in self._busy or row.state == State.STARTING or bool(row.stage),
            is_pinned=self.is_pinned(row) or not is_loadable(row),
            cards=tuple(launch.gpus_in_use) if launch else (),
        )

    def _seconds(self, deployment: Deployment) -> int | None:
        if deployment.load_ms is None:
            return None
        return round(deployment.load_ms / 1000)

    def _pinned_until(self, host: Host) -> datetime | None:
        """The first end of the pins there, which is the earliest moment at which something may change."""
        ends = [self._pins[row.pk] for row in self._in_memory(host, None) if row.pk in self._pins]
        return min((end for end in ends if end), default=None)


def _stored() -> QuerySet[Any]:
    """What lies on hosts or was to, with the state and the reason of its last pull, None = there was none."""
    last = PullJob.objects.filter(stored=OuterRef("pk")).order_by("-pk")
    return StoredArtifact.objects.annotate(
        last_pull=Subquery(last.values("state")[:1]), last_reason=Subquery(last.values("reason")[:1])
    )


def lies_on_host(deployment: Deployment) -> bool:
    """Whether it takes memory of its host: an engine attached by the address of another machine does not."""
    address = urlsplit(deployment.engine.base_url).hostname
    if hasattr(deployment, "launch") or not address:
        return True
    return address in engine_address.LOOPBACK or address == deployment.engine.host.address


def is_file_of_host(artifact: Artifact) -> bool:
    """A path: the file lies on the machine already, put there by its owner."""
    return artifact.ref.startswith("/")


def live_pins() -> Q:
    now = timezone.now()
    return Q(starts_at__lte=now) & (Q(ends_at__isnull=True) | Q(ends_at__gt=now))


def _pins() -> dict[int, datetime | None]:
    """The latest end of each pinned deployment's pins, None = no end."""
    found: dict[int, datetime | None] = {}
    for deployment, ends in Pin.objects.filter(live_pins()).values_list("deployment_id", "ends_at"):
        before = found.get(deployment, ends)
        found[deployment] = None if ends is None or before is None else max(ends, before)
    return found


def _of_room(found: Room | NoRoom) -> Verdict:
    if isinstance(found, NoRoom):
        return Verdict(found.why.value)
    return Verdict.AFTER_UNLOADING if found.unloads else Verdict.FITS


def _merit(found: Outlook) -> tuple[int, int, int]:
    return ORDER.index(found.verdict), len(found.unloads), found.deployment.pk or 0


__all__ = ["Look", "Need", "Outlook", "Verdict", "for_model", "for_wish", "is_loadable", "look", "of"]
