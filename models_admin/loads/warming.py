"""Deployments in and out of memory: warm, unload, pin, measure. The row is the truth, messages are hints.

A move is guarded by state and attempt; what is in use is never unloaded. Warm means that a real token came out: a
server that is healthy, or a model that is loaded, is `checking` until then.
"""

from __future__ import annotations

import time
from datetime import datetime

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin import audit
from models_admin.engines import row_locks
from models_admin.loads import deploying, outlook, warm_orders, warm_words
from models_admin.loads.outlook import Outlook, Verdict
from models_admin.models import Deployment, Host, Pin, SlotLease

State = Deployment.State
EVICTING, LAUNCHING, LOADING, CHECKING, MEASURING = "evicting", "launching", "loading", "checking", "measuring"
ATTEMPTS_BEGAN = 1_790_000_000  # seconds since 1970: attempts are counted by the clock, and fit into 32 bit
PORT_TAKEN = "port_taken"
# What a person may order although the site itself would not try it: he may know that it is mended.
RETRIED = (Verdict.FAILED, Verdict.QUARANTINED)


class WarmError(Exception):
    """Why this cannot be done now, as a sentence for whoever asked."""


def warm(deployment: Deployment, *, by: str, why: str = "") -> Deployment:
    """Load it, unloading what has to go. `by` is a user name, '' = the site. Raises WarmError.

    What is warm or on its way already stays so: two who press at once both see it.
    """
    with transaction.atomic():
        # One decision at a time about a host's memory.
        Host.objects.select_for_update().get(pk=deployment.engine.host_id)
        seen = outlook.look()
        row = seen.deployments[deployment.pk]
        if row.state in (State.WARM, State.STARTING):
            return row
        found = _checked(seen, row)
        row_locks.lock(Deployment.objects.filter(pk__in=[row.pk, *(each.pk for each in found.unloads)]))
        for each in found.unloads:
            _drain(each, by=by, why=_("%(model)s needs its memory") % {"model": row.artifact.model.name})
        _begin(row, found)
        audit.record(by, "warm", row, before=row.state, after=State.STARTING, why=why)
    deployment.refresh_from_db()
    return deployment


def unload(deployment: Deployment, *, by: str, why: str = "") -> Deployment:
    """Out of memory. Raises WarmError where it is in use, pinned, or not the site's to unload."""
    with transaction.atomic():
        row = Deployment.objects.select_related("engine__host", "artifact__model", "launch").get(pk=deployment.pk)
        if not outlook.is_loadable(row):
            raise WarmError(warm_words.not_ours(row))
        if row.state == State.STARTING:
            _stop_start(row, by=by, why=why)
        else:
            if Pin.objects.filter(outlook.live_pins(), deployment=row).exists():
                raise WarmError(_("%(model)s is pinned: take the pin away first.") % {"model": row.artifact.ref})
            _drain(row, by=by, why=why)
    deployment.refresh_from_db()
    return deployment


def pin(deployment: Deployment, *, by: str, reason: str, ends_at: datetime | None = None) -> Pin:
    """It stays in memory until then. Raises WarmError."""
    if not reason.strip():
        raise WarmError(_("Say why it is pinned: others will want to know."))
    if ends_at is not None and ends_at <= timezone.now():
        raise WarmError(_("The end of the pin lies in the past."))
    with transaction.atomic():
        made = Pin.objects.create(deployment=deployment, owner=by, reason=reason.strip()[:300], ends_at=ends_at)
        audit.record(by, "pin", deployment, after=str(ends_at or ""), why=reason)
    return made


def unpin(pin: Pin, *, by: str) -> None:
    """It may be unloaded again when room is needed."""
    with transaction.atomic():
        if Pin.objects.filter(outlook.live_pins(), pk=pin.pk).update(ends_at=Now()):
            audit.record(by, "unpin", pin.deployment, before=str(pin.ends_at or ""), why=pin.reason)


def measure(deployment: Deployment, *, by: str) -> None:
    """Ask for a measurement at 1 to n streams; its rows come later. Raises WarmError where it is not warm and idle."""
    with transaction.atomic():
        row = (
            Deployment.objects.select_for_update(of=("self",), no_key=True)
            .select_related("artifact__model")
            .get(pk=deployment.pk)
        )
        if row.state != State.WARM or row.stage:
            raise WarmError(_("%(model)s is not warm, or being measured already.") % {"model": row.artifact.ref})
        if SlotLease.objects.filter(deployment=row).exists():
            raise WarmError(
                _("%(model)s is answering somebody. Measure it when it is idle.") % {"model": row.artifact.ref}
            )
        row.stage, row.attempt, row.seen_at = MEASURING, next_attempt(row), Now()
        row.save(update_fields=["stage", "attempt", "seen_at"])
        warm_orders.send_measure(row)
        audit.record(by, "measure", row)


def _checked(seen: outlook.Look, row: Deployment) -> Outlook:
    """The outlook of what may begin now. Raises WarmError."""
    found = seen.of(row)
    if row.state not in Deployment.OUT_OF_MEMORY:
        raise WarmError(warm_words.being_unloaded(row))
    if found.verdict in RETRIED:
        found = seen.of(row, is_retry=True)
    if found.verdict not in (Verdict.FITS, Verdict.AFTER_UNLOADING):
        raise WarmError(warm_words.refusal(found))
    return found


def _begin(row: Deployment, found: Outlook) -> None:
    """STARTING under a new attempt; its order goes out at once, or when what has to go is gone."""
    host_is_clearing = Deployment.objects.filter(engine__host=row.engine.host_id, state=State.DRAINING).exists()
    stage = EVICTING if host_is_clearing else first_stage(row)
    moved = Deployment.objects.filter(pk=row.pk, attempt=row.attempt, state__in=Deployment.OUT_OF_MEMORY).update(
        state=State.STARTING, state_since=Now(), seen_at=Now(), attempt=next_attempt(row), stage=stage, progress=None,
        reason="", detail="", expected_bytes=row.expected_bytes or found.needs_bytes,
    )  # fmt: skip
    if not moved:
        raise WarmError(warm_words.being_unloaded(row))
    if hasattr(row, "launch"):
        if row.reason == PORT_TAKEN:
            deploying.move(row)
        row.launch.gpus_in_use = list(row.launch.gpus or found.cards)
        row.launch.save(update_fields=["gpus_in_use"])
    if stage != EVICTING:
        warm_orders.send_start(Deployment.objects.get(pk=row.pk))


def next_attempt(row: Deployment) -> int:
    """Later than any before, also for a host that remembers what a database restored from a backup has forgotten."""
    return max(row.attempt + 1, int(time.time()) - ATTEMPTS_BEGAN)


def first_stage(row: Deployment) -> str:
    return LAUNCHING if hasattr(row, "launch") else LOADING


def _drain(row: Deployment, *, by: str, why: str) -> None:
    """WARM → DRAINING where nothing holds a slot of it. Raises WarmError.

    The row is locked first and its slots are read by a statement of their own: whoever leases one locks it as well.
    """
    locked = Deployment.objects.select_for_update(no_key=True).filter(pk=row.pk, state=State.WARM).first()
    if locked is None:
        raise WarmError(_("%(model)s is not in memory.") % {"model": row.artifact.ref})
    if locked.stage or SlotLease.objects.filter(deployment=locked).exists():
        raise WarmError(_("%(model)s is answering somebody. It can go when it is idle.") % {"model": row.artifact.ref})
    _put_out(locked)
    audit.record(by, "unload", row, before=State.WARM, after=State.DRAINING, why=why)


def _stop_start(row: Deployment, *, by: str, why: str) -> None:
    """A load that somebody thinks better of."""
    locked = Deployment.objects.select_for_update(no_key=True).filter(pk=row.pk, state=State.STARTING).first()
    if locked is not None:
        _put_out(locked)
        audit.record(by, "unload", row, before=State.STARTING, after=State.DRAINING, why=why)


def _put_out(locked: Deployment) -> None:
    locked.state, locked.attempt, locked.stage, locked.progress = State.DRAINING, next_attempt(locked), "", None
    locked.state_since = locked.seen_at = Now()
    locked.save(update_fields=["state", "attempt", "stage", "progress", "state_since", "seen_at"])
    warm_orders.send_end(locked)
