"""What nobody writes any more: answers of silent runners, and those that a runner has lost sight of."""

from __future__ import annotations

import contextlib
import logging
import uuid
from dataclasses import replace
from datetime import timedelta

from django.conf import settings
from django.db import DatabaseError
from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from chat import bells, billing, carrying_on, settlement, stream_log
from chat.answer_log import BEGIN, GAP, KEPT, SEAL, Written
from chat.ledger_facts import milliseconds
from chat.models import Generation
from chat.outcome import Outcome
from live import doorbell
from live import redis as connections
from models_admin.engines import fleet

log = logging.getLogger(__name__)
State = Generation.State
FORGOTTEN_AFTER = timedelta(seconds=120)  # longer than a runner tries to settle


def reap() -> None:
    """What silent runners held goes on or ends, with the text that the log or the checkpoint kept."""
    silent = fleet.silent_workers()
    _end(Generation.objects.filter(Q(worker_id__in=silent) | Q(worker__isnull=True), state=State.RUNNING))
    fleet.forget_silent(silent)


def end_forgotten(worker_id: int, known: list[uuid.UUID]) -> None:
    """End what the database gives to a runner that has not got it, or could not settle it in all its tries."""
    rows = Generation.objects.filter(worker_id=worker_id, state=State.RUNNING)
    _end(rows.filter(started_at__lt=Now() - FORGOTTEN_AFTER).exclude(pk__in=known))


def end_as(generation_id: uuid.UUID, state: str, reason: str) -> None:
    """End a running one with what is known of it; its runner finds it ended."""
    row = Generation.objects.select_related("message__conversation", "worker").filter(pk=generation_id).first()
    if row is not None and row.state == State.RUNNING:
        outcome = replace(_last_words(row), state=state, reason=reason)
        settlement.settle(row.pk, row.attempt, row.worker_id, outcome)


def _end(rows: QuerySet[Generation]) -> None:
    for row in rows.select_related("message__conversation", "worker"):
        # One that cannot be ended must not keep the others from it.
        try:
            outcome = _last_words(row)
            if carrying_on.hand_on(row.pk, row.attempt, row.worker_id, outcome):
                _fence(row, BEGIN, KEPT if outcome.thinking or outcome.text else "")
                doorbell.ring(bells.stage(str(row.pk), row.attempt, GAP))
            elif settlement.settle(row.pk, row.attempt, row.worker_id, outcome):
                doorbell.ring(bells.ended(row.pk))
                _fence(row, SEAL, "")
        except DatabaseError:
            log.exception("generation %s cannot be ended", row.pk)


def _last_words(row: Generation) -> Outcome:
    """By the log, which is up to a second ahead of the checkpoint; by that where the log is not whole."""
    message = row.message
    thinking, text = (message.thinking, message.text) if message else ("", "")
    said, last_seq = Written(thinking, text, row.thinking_tokens, row.answer_tokens), row.last_seq
    try:
        kept = stream_log.whole(connections.blocking(settings.REDIS_URL), str(row.pk), row.attempt)
    except connections.RedisError:
        kept = None
    before = Written(thinking[: row.thinking_from], text[: row.text_from])
    if kept and _length(before) + _length(kept[0]) >= _length(said):
        said, last_seq = _behind(before, kept[0], said), kept[1]
    taken = billing.taken(row.pk)
    thinking_tokens = max(0, said.thinking_tokens - taken.thinking_tokens)
    answer_tokens = max(0, said.answer_tokens - taken.answer_tokens)
    has_token = thinking_tokens + answer_tokens > 0
    prefill_ms, decode_ms = _times(row)
    return Outcome(
        state=State.FAILED,
        reason="runner_lost",
        thinking=said.thinking,
        text=said.answer,
        last_seq=last_seq,
        prompt_tokens=billing.prompt_estimate(row) if has_token else 0,
        thinking_tokens=thinking_tokens,
        answer_tokens=answer_tokens,
        prefill_ms=prefill_ms,
        decode_ms=decode_ms,
    )


def _times(row: Generation) -> tuple[int, int]:
    """Until its first token, and from then until its runner was heard of last."""
    begun = row.started_at
    if begun is None:
        return 0, 0
    first = max(row.first_token_at, begun) if row.first_token_at else None
    seen = max(row.worker.seen_at if row.worker else begun, first or begun)
    read_from = first or seen
    return milliseconds(begun, read_from) or 0, milliseconds(read_from, seen) or 0


def _length(said: Written) -> int:
    return len(said.thinking) + len(said.answer)


def _behind(before: Written, added: Written, noted: Written) -> Written:
    """The texts one behind the other; of the counts the higher one, for a channel of which nothing was added has 0."""
    return Written(
        before.thinking + added.thinking,
        before.answer + added.answer,
        max(added.thinking_tokens, noted.thinking_tokens),
        max(added.answer_tokens, noted.answer_tokens),
    )


def _fence(row: Generation, kind: str, says: str) -> None:
    """A runner that was only paused must not write on: a higher id makes Redis itself refuse it."""
    with contextlib.suppress(connections.RedisError):
        client = connections.blocking(settings.REDIS_URL)
        fields = {"k": kind, "d": says, "c": 0}
        client.xadd(stream_log.key(str(row.pk)), fields, id=f"{row.attempt + 1}-0")  # type: ignore[arg-type]
        seconds = stream_log.SEALED_TTL_SECONDS if kind == SEAL else stream_log.LIVE_TTL_SECONDS
        client.expire(stream_log.key(str(row.pk)), seconds)
