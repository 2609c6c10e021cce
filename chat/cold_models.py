"""Why a model that is not warm is waited for: what is done for it, or what is in its way. From tables."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from chat.bells import Why
from chat.models import StrandedModel
from models_admin.engines import access
from models_admin.loads import outlook
from models_admin.loads.outlook import Look, Outlook, Verdict
from models_admin.models import Deployment

State = Deployment.State
EVICTING = "evicting"
CODES = {
    Verdict.WARM: "next",
    Verdict.LOADING: "loading",
    Verdict.FITS: "cold",
    Verdict.AFTER_UNLOADING: "cold",
    Verdict.IN_USE: "no_room_in_use",
    Verdict.PINNED: "no_room_pinned",
    Verdict.PULLING: "pulling",
    Verdict.PULL_PAUSED: "pull_paused",
    Verdict.NOT_PULLED: "not_pulled",
    Verdict.PULL_FAILED: "pull_failed",
    Verdict.FAILED: "load_failed",
    Verdict.QUARANTINED: "load_failed",
    Verdict.TOO_BIG: "too_big",
    Verdict.HOST_GONE: "host_gone",
    Verdict.NOT_OURS: "no_engine",
}


def why(model_key: str, look: Look) -> Why:
    """Of the best of its deployments; `look` is one reading of the tables for as many models as wanted.

    `until` is the end of the pin in the way or, where nothing can take the model any more, that of the waiting.
    """
    found = look.for_model(model_key)
    ends_at = _gives_up_at(model_key) or (found.pinned_until if found else None)
    until = round(ends_at.timestamp() * 1000) if ends_at else None
    if found is None:
        return Why("no_engine", until=until)
    row = found.deployment
    code = _code(found)
    return Why(
        code,
        key=model_key,
        model=row.artifact.model.name,
        host=row.engine.host.name,
        other=_making_room(row, look) if code == EVICTING else "",
        detail=row.reason if code == "load_failed" else found.pull_reason,
        percent=row.progress if code == "loading" else None,
        seconds=seconds_left(row) if code in (EVICTING, "loading", "cold") else None,
        until=until,
    )


def seconds_left(row: Deployment) -> int | None:
    """Until its first token, by its last load: whole seconds below 10, then steps of 5, or of 10 above a minute."""
    if row.load_ms is None:
        return None
    left = round(row.load_ms / 1000)
    if row.state == State.STARTING:
        left = max(1, left - round((timezone.now() - row.state_since).total_seconds()))
    step = 1 if left < 10 else 5 if left < 60 else 10
    return -(-max(1, left) // step) * step


def patience() -> timedelta:
    """How long people wait for a model that nothing can take any more."""
    return timedelta(seconds=settings.STRANDED_SECONDS)


def _gives_up_at(model_key: str) -> datetime | None:
    """When those who wait for it do so no more; None where something may still take it."""
    since = StrandedModel.objects.filter(model_key=model_key).values_list("since", flat=True).first()
    return since + patience() if since else None


def _code(found: Outlook) -> str:
    row = found.deployment
    if found.verdict is Verdict.LOADING:
        return EVICTING if row.stage == EVICTING else "loading"
    if found.verdict is Verdict.FAILED and not outlook.is_loadable(row):
        return "no_engine"  # it failed at answering, not at being loaded
    return CODES[found.verdict]


def _making_room(row: Deployment, look: Look) -> str:
    """The model on the same host that is on its way out, where everybody may see it: all who wait read this."""
    leaving = (
        other.artifact.model
        for other in look.deployments.values()
        if other.engine.host_id == row.engine.host_id and other.state == State.DRAINING
    )
    return next((model.name for model in leaving if model.is_visible and not access.is_kept_from_some(model)), "")
