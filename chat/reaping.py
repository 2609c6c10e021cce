"""Ending what nobody writes any more: answers of silent runners, and those that a runner has lost sight of."""

from __future__ import annotations

import contextlib
import logging
import uuid
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from chat import bells, settlement, stream_log
from chat.models import Generation
from live import doorbell
from live import redis as connections
from models_admin.engines import fleet

log = logging.getLogger(__name__)
State = Generation.State
FORGOTTEN_AFTER = timedelta(seconds=120)  # longer than a runner tries to settle


def reap() -> None:
    """End what silent runners held, with the text that the log or the checkpoint kept; nothing runs twice."""
    silent = fleet.silent_workers()
    _end(Generation.objects.filter(Q(worker_id__in=silent) | Q(worker__isnull=True), state=State.RUNNING))
    fleet.forget_silent(silent)


def end_forgotten(worker_id: int, known: list[uuid.UUID]) -> None:
    """End what the database gives to a runner that has not got it, or could not settle it in all its tries."""
    rows = Generation.objects.filter(worker_id=worker_id, state=State.RUNNING)
    _end(rows.filter(started_at__lt=Now() - FORGOTTEN_AFTER).exclude(pk__in=known))


def _end(rows: QuerySet[Generation]) -> None:
    for row in rows.select_related("message"):
        # One that cannot be ended must not keep the others from it.
        try:
            if settlement.settle(row.pk, row.attempt, row.worker_id, _last_words(row)):
                doorbell.ring(bells.ended(row.pk))
                _fence(row)
        except DatabaseError:
            log.exception("generation %s cannot be ended", row.pk)


def _last_words(row: Generation) -> settlement.Outcome:
    """What the log kept where that is more than the checkpoint, with its own count: up to a second was not in it."""
    message = row.message
    thinking, text = (message.thinking, message.text) if message else ("", "")
    best = stream_log.Kept(thinking, text, row.thinking_tokens, row.answer_tokens, row.last_seq)
    try:
        kept = stream_log.whole(connections.blocking(settings.REDIS_URL), str(row.pk), row.attempt)
    except connections.RedisError:
        kept = None
    if kept and len(kept.thinking) + len(kept.text) >= len(thinking) + len(text):
        best = kept
    return settlement.Outcome(
        state=State.FAILED,
        reason="runner_lost",
        thinking=best.thinking,
        text=best.text,
        last_seq=best.last_seq,
        thinking_tokens=best.thinking_tokens,
        answer_tokens=best.answer_tokens,
    )


def _fence(row: Generation) -> None:
    """A runner that was only paused must not write on: a higher id makes Redis itself refuse it."""
    with contextlib.suppress(connections.RedisError):
        client = connections.blocking(settings.REDIS_URL)
        fields = {"k": stream_log.SEAL, "d": "", "c": 0}
        client.xadd(stream_log.key(str(row.pk)), fields, id=f"{row.attempt + 1}-0")  # type: ignore[arg-type]
        client.expire(stream_log.key(str(row.pk)), stream_log.SEALED_TTL_SECONDS)
