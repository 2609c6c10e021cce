"""Engines that load models when they are told to, by anybody: what their own word means for our deployments."""

from __future__ import annotations

from datetime import datetime

from django.db.models import F
from django.db.models.functions import Now

from models_admin.engines import row_locks
from models_admin.models import Deployment, Engine

State = Deployment.State
UNREACHABLE = "engine_unreachable"
UNLOADED, OTHER_CONTEXT = "unloaded_outside", "other_context"


def note_health(engine: Engine, *, is_ready: bool, detail: str) -> None:
    """One that is silent has nothing in memory for us; one that is back tells what it has (`note_loaded`)."""
    rows = engine.deployments
    if not is_ready:
        row_locks.move(
            rows.filter(state__in=[State.WARM, State.STOPPED]),
            state=State.FAILED,
            state_since=Now(),
            stage="",
            reason=UNREACHABLE,
            detail=detail[:300],
            attempt=F("attempt") + 1,
        )
    else:
        back = rows.filter(state=State.FAILED, reason=UNREACHABLE)
        row_locks.move(back, state=State.STOPPED, state_since=Now(), reason="", detail="")


def note_loaded(engine_id: int, here: dict[str, int | None], asked_at: datetime) -> None:
    """`here`: context (tokens) by the name of what it has in memory, as it was at `asked_at`.

    What moved after that is newer than this word. What was loaded with another context is not warm: the first answer
    would load it anew, and nobody would know why he waits.
    """
    rows = Deployment.objects.filter(engine=engine_id, stage="", state_since__lt=asked_at)
    for row in rows.filter(state__in=[State.WARM, State.STOPPED]).select_related("artifact"):
        problem = _problem(row, here)
        if row.state == State.WARM and problem:
            _move(row, State.STOPPED, problem)
        elif row.state == State.STOPPED and not problem:
            _move(row, State.WARM, "")


def _problem(row: Deployment, here: dict[str, int | None]) -> str:
    """Why it is not warm, '' where it is."""
    name = row.artifact.ref
    if name not in here:
        return UNLOADED
    context = here[name]
    return OTHER_CONTEXT if context is not None and context < row.context_tokens else ""


def _move(row: Deployment, to: str, reason: str) -> None:
    Deployment.objects.filter(pk=row.pk, attempt=row.attempt, state=row.state).update(
        state=to, state_since=Now(), reason=reason, detail="", last_used_at=Now()
    )
