"""What is told of a load: by the host that launched its server, and by the runner that asked it for a token.

Each word names the attempt it belongs to; an older one is not heard.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from models_admin import audit
from models_admin.engines import row_locks
from models_admin.loads import warm_orders, warming
from models_admin.models import Deployment, Engine, Host, Launch, Measurement
from models_admin.orders.launch_orders import ServerWord

State = Deployment.State
MOST_FAILURES = 3
# An engine that was away or busy says nothing of the model.
NOT_ITS_FAULT = frozenset({"engine_unreachable", "engine_overloaded", "host_gone"})
MOST_REASON, MOST_DETAIL, MOST_LOG = 40, 300, 4_000
STAGE_OF = {"starting": warming.LAUNCHING, "loading": warming.LOADING, "restarting": warming.LAUNCHING}


@dataclass(frozen=True)
class Speed:
    """What so many streams at once gave: tokens/s together, ms to the first token."""

    streams: int
    tokens_per_second: float
    first_token_ms: int


def note_server(host_name: str, word: ServerWord) -> None:
    """A host's word about a server of its own. One that should not run is told to end again."""
    row = (
        Deployment.objects.select_related("engine__host", "launch")
        .filter(pk=word.deployment, engine__host__name=host_name, launch__isnull=False)
        .first()
    )
    if row is None:
        _end_unknown(host_name, word)
        return
    log = word.log[-MOST_LOG:].replace("\0", "")
    if log and log != row.launch.log:
        Launch.objects.filter(pk=row.launch.pk).update(log=log)
    if word.attempt == row.attempt:
        _note_stage(row, word)
    elif word.attempt < row.attempt and row.state == State.STOPPED and word.stage not in ("ended", "quarantined"):
        warm_orders.send_end(row)


def _end_unknown(host_name: str, word: ServerWord) -> None:
    """Its deployment is gone, so nobody else will ever end it. Another host's is none of this one's to speak of."""
    host = Host.objects.filter(name=host_name).first()
    is_elsewhere = Deployment.objects.filter(pk=word.deployment).exists()
    if host and not is_elsewhere and word.stage != "ended":
        warm_orders.end_server(host.queue, word.deployment, word.attempt + 1)


def _note_stage(row: Deployment, word: ServerWord) -> None:
    mine = Deployment.objects.filter(pk=row.pk, attempt=word.attempt)
    if word.stage == "ended":
        _note_ended(mine.filter(state=State.DRAINING))
    elif word.stage == "quarantined":
        _quarantine(row, word)
    elif word.stage == "ready":
        _note_ready(row, word.attempt)
    elif mine.filter(state__in=[State.STARTING, State.WARM, State.FAILED]).exclude(stage=warming.EVICTING).update(
        state=State.STARTING, stage=STAGE_OF[word.stage], progress=_percent(word), seen_at=Now(),
        reason=word.reason[:MOST_REASON], detail=word.detail[:MOST_DETAIL].replace("\0", ""),
    ) and row.state != State.STARTING:  # fmt: skip
        # It was warm and its server died, or its host was silent: the host starts it again by itself.
        mine.update(state_since=Now())


def _percent(word: ServerWord) -> int | None:
    """A host may say anything."""
    return None if word.progress is None else min(100, max(0, word.progress))


def _note_ready(row: Deployment, attempt: int) -> None:
    """Healthy is not warm yet: a runner asks for a token. One that answers already only shows that it lives."""
    mine = Deployment.objects.filter(pk=row.pk, attempt=attempt)
    with transaction.atomic():
        if mine.filter(state=State.STARTING).exclude(stage=warming.CHECKING).update(
            stage=warming.CHECKING, progress=None, seen_at=Now()
        ) or mine.filter(state=State.FAILED, reason="host_gone").update(
            state=State.STARTING, state_since=Now(), stage=warming.CHECKING, seen_at=Now(), reason="", detail=""
        ):  # fmt: skip
            warm_orders.send_check(row)


def _quarantine(row: Deployment, word: ServerWord) -> None:
    moved = Deployment.objects.filter(pk=row.pk, attempt=word.attempt, state__in=[State.STARTING, State.WARM]).update(
        state=State.QUARANTINED, state_since=Now(), stage="", progress=None,
        reason=word.reason[:MOST_REASON] or "server_ended", detail=word.detail[:MOST_DETAIL].replace("\0", ""),
    )  # fmt: skip
    if moved:
        audit.record("", "quarantine", row, before=row.state, after=State.QUARANTINED, why=word.detail)


def _note_ended(mine: QuerySet[Deployment]) -> None:
    mine.update(state=State.STOPPED, state_since=Now(), stage="", progress=None)


def beat(deployment: int, attempt: int) -> bool:
    """A runner works on it; False when it is not its work any more."""
    return Deployment.objects.filter(pk=deployment, attempt=attempt).update(seen_at=Now()) == 1


def note_stage(deployment: int, attempt: int, stage: str) -> bool:
    return Deployment.objects.filter(pk=deployment, attempt=attempt).update(stage=stage, seen_at=Now()) == 1


def note_warm(deployment: int, attempt: int, speed: Speed) -> None:
    """A real token came out."""
    row = Deployment.objects.filter(pk=deployment, attempt=attempt, state=State.STARTING).first()
    if row is None:
        return
    with transaction.atomic():
        moved = Deployment.objects.filter(pk=deployment, attempt=attempt, state=State.STARTING).update(
            state=State.WARM, state_since=Now(), stage="", progress=None, reason="", detail="", failures=0,
            load_failures=0,
            last_used_at=Now(), load_ms=_milliseconds_since_start(row),
        )  # fmt: skip
        if moved:
            note_speed(deployment, speed)
            audit.record("", "warmed", row, before=State.STARTING, after=State.WARM)


def note_silent_servers(engine: Engine) -> None:
    """A launched server that answers no more is its host's to start again, and warm only after another token."""
    warm = Deployment.objects.filter(engine=engine, launch__isnull=False, state=State.WARM)
    row_locks.move(warm, state=State.STARTING, state_since=Now(), stage=warming.LAUNCHING, progress=None, seen_at=Now())


def note_failed(deployment: int, attempt: int, reason: str, detail: str = "") -> None:
    """It was not warmed; after the third time in a row it is left alone until somebody says otherwise."""
    row = Deployment.objects.filter(pk=deployment, attempt=attempt, state=State.STARTING).first()
    if row is None:
        return
    failures = row.load_failures + (reason not in NOT_ITS_FAULT)
    state = State.QUARANTINED if failures >= MOST_FAILURES else State.FAILED
    Deployment.objects.filter(pk=deployment, attempt=attempt, state=State.STARTING).update(
        state=state, state_since=Now(), stage="", progress=None, reason=reason[:MOST_REASON],
        detail=detail[:MOST_DETAIL], load_failures=failures,
    )  # fmt: skip
    audit.record("", "load_failed", row, before=State.STARTING, after=state, why=reason)
    _end_failed(deployment)


def _end_failed(deployment: int) -> None:
    """A server that gives no token holds its memory all the same, where nobody would count it."""
    row = Deployment.objects.select_related("engine__host", "launch").get(pk=deployment)
    if hasattr(row, "launch"):
        Deployment.objects.filter(pk=deployment).update(attempt=F("attempt") + 1)
        warm_orders.end_server(row.engine.host.queue, deployment, row.attempt + 1)


def note_unloaded(deployment: int, attempt: int, *, problem: str = "") -> None:
    """Its engine does not list it any more; with a `problem` it does still, and so it is what it was."""
    mine = Deployment.objects.filter(pk=deployment, attempt=attempt, state=State.DRAINING)
    if problem:
        mine.update(state=State.FAILED, state_since=Now(), stage="", reason=problem[:40])
    else:
        _note_ended(mine)


def note_speed(deployment: int, speed: Speed) -> None:
    Measurement.objects.create(
        deployment_id=deployment,
        streams=speed.streams,
        tokens_per_second=speed.tokens_per_second,
        first_token_ms=speed.first_token_ms,
    )


def note_measured(deployment: int, attempt: int) -> None:
    """The measurement is over, however it ended."""
    Deployment.objects.filter(pk=deployment, attempt=attempt, stage=warming.MEASURING).update(stage="")


def _milliseconds_since_start(row: Deployment) -> int:
    return max(1, round((timezone.now() - row.state_since).total_seconds() * 1000))
