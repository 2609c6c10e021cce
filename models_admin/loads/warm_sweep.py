"""What nobody else does for loads: go on when room was made, send again what got lost, unload what is idle, and load
a model because somebody waits for it. Called by whoever leads the line."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q
from django.db.models.functions import Now

from models_admin.engines import row_locks
from models_admin.engines.fleet import LOCAL_HOST
from models_admin.hosts import hosts
from models_admin.loads import outlook, warm_notes, warm_orders, warming
from models_admin.loads.outlook import Outlook, Verdict
from models_admin.loads.warming import WarmError
from models_admin.models import Deployment, Pin, SlotLease

log = logging.getLogger(__name__)
State = Deployment.State
# Whoever works on it speaks every few seconds; after so many without a word its order is sent again.
SILENT_SECONDS = 15
# A load that failed is tried again for those who wait after this, three times as long after each further failure.
RETRY_SECONDS = 30
MOST_POWER = 5
NO_ROOM = {Verdict.IN_USE: "no_room_in_use", Verdict.PINNED: "no_room_pinned", Verdict.TOO_BIG: "no_room_too_big"}


def sweep(*, may_give_up: bool = True) -> None:
    """Every few seconds. Raises DatabaseError. After a gap of our own others look silent who are not."""
    _go_on()
    if may_give_up:
        _give_up_gone()
    _send_again()
    _end_measurements()
    _unload_idle()


def on_demand(model_key: str) -> None:
    """Somebody waits for a model that is not warm: load it where the least has to go, or keep why that can't be."""
    cold = Deployment.objects.filter(artifact__model__key=model_key, engine__is_cloud=False)
    states = set(cold.values_list("state", flat=True))
    if State.STARTING in states or not states & {State.STOPPED, State.FAILED}:
        return
    for found in outlook.look().all_of_model(model_key):
        row = found.deployment
        if found.verdict in (Verdict.FITS, Verdict.AFTER_UNLOADING) or _is_due_again(found):
            try:
                warming.warm(row, by="")
                return
            except WarmError as error:
                log.info("deployment %s not loaded on demand: %s", row.pk, error)
        reason = NO_ROOM.get(found.verdict)
        if reason and row.reason != reason:
            Deployment.objects.filter(pk=row.pk, state=State.STOPPED).update(reason=reason, detail="")


def _is_due_again(found: Outlook) -> bool:
    row = found.deployment
    # One whose engine is silent is looked at every few seconds anyway, and is cold again when it speaks.
    if found.verdict is not Verdict.FAILED or not outlook.is_loadable(row) or row.reason in warm_notes.NOT_ITS_FAULT:
        return False
    pause = timedelta(seconds=RETRY_SECONDS * 3 ** min(MOST_POWER, max(0, row.load_failures - 1)))
    return Deployment.objects.filter(pk=row.pk, state_since__lt=Now() - pause).exists()


def _go_on() -> None:
    """What waited for room, where all that had to go is gone."""
    clearing = Deployment.objects.filter(engine__host=OuterRef("engine__host"), state=State.DRAINING)
    waiting = Deployment.objects.filter(~Exists(clearing), state=State.STARTING, stage=warming.EVICTING)
    for row in waiting.select_related("engine__host", "artifact", "launch"):
        with transaction.atomic():
            mine = Deployment.objects.filter(pk=row.pk, attempt=row.attempt, stage=warming.EVICTING)
            if mine.update(stage=warming.first_stage(row), seen_at=Now()):
                warm_orders.send_start(row)


def _give_up_gone() -> None:
    """What a gone host launched is not there to be asked; where it comes back with it running, it is found again."""
    gone = hosts.gone().exclude(name=LOCAL_HOST).values("pk")
    lost = Deployment.objects.filter(engine__host__in=gone, launch__isnull=False)
    row_locks.move(lost.filter(state=State.DRAINING), state=State.STOPPED, state_since=Now(), reason="host_gone")
    row_locks.move(
        lost.filter(state__in=[State.WARM, State.STARTING]),
        state=State.FAILED,
        state_since=Now(),
        stage="",
        progress=None,
        reason="host_gone",
        detail="",
    )


def _send_again() -> None:
    late = Deployment.objects.filter(_is_silent(), state__in=[State.STARTING, State.DRAINING]).exclude(
        stage=warming.EVICTING
    )
    for row in late.exclude(engine__host__in=hosts.gone().values("pk")).select_related(
        "engine__host", "artifact", "launch"
    ):
        if outlook.is_loadable(row):
            _send_one_again(row)


def _send_one_again(row: Deployment) -> None:
    """A host knows its attempt and does nothing twice; a runner takes up a new one, so that only one works on it."""
    is_of_runner = not hasattr(row, "launch") or row.stage == warming.CHECKING
    attempt = row.attempt + 1 if not hasattr(row, "launch") else row.attempt
    with transaction.atomic():
        if not Deployment.objects.filter(_is_silent(), pk=row.pk, attempt=row.attempt).update(
            attempt=attempt, seen_at=Now()
        ):
            return
        row.attempt = attempt
        if row.state == State.DRAINING:
            warm_orders.send_end(row)
        elif is_of_runner:
            warm_orders.send_check(row)
        else:
            warm_orders.send_start(row)


def _end_measurements() -> None:
    measured = Deployment.objects.filter(_is_silent(), stage=warming.MEASURING)
    row_locks.move(measured, stage="", attempt=F("attempt") + 1)


def _unload_idle() -> None:
    used = SlotLease.objects.filter(deployment=OuterRef("pk"))
    pinned = Pin.objects.filter(outlook.live_pins(), deployment=OuterRef("pk"))
    timed = Deployment.objects.filter(
        ~Exists(used), ~Exists(pinned), state=State.WARM, stage="", idle_seconds__isnull=False
    )
    for row in timed.filter(last_used_at__isnull=False):
        idle_since = Now() - timedelta(seconds=row.idle_seconds or 0)
        if Deployment.objects.filter(pk=row.pk, last_used_at__lt=idle_since).exists():
            try:
                warming.unload(row, by="", why="idle")
                Deployment.objects.filter(pk=row.pk).update(reason="idle")
            except WarmError:
                continue


def _is_silent() -> Q:
    return Q(seen_at__lt=Now() - timedelta(seconds=SILENT_SECONDS)) | Q(seen_at__isnull=True)
