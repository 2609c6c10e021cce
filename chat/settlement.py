"""How a generation ends: text, usage, segment, quota, ledger and slot in one guarded transaction, then the bells.

Whoever's guard (state, attempt, worker) does not match returns False and has changed nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Coalesce, Now

from chat import bells, billing, ledger_facts
from chat.billing import Taken
from chat.models import Conversation, Generation, Message
from chat.outcome import Outcome
from live import doorbell
from models_admin.engines import fleet

State = Generation.State
ATTEMPTS = 3
# What a line of the ledger names.
BILLED = ("user__main_group", "token", "deployment__engine__host", "price_row")


@dataclass(frozen=True)
class Settled:
    """What everybody is told at the end, from the database's own row. `finish`: the engine's word (stop, length)."""

    state: str
    reason: str
    finish: str
    usage: dict[str, int | None]
    sha256: str


def settle(generation_id: uuid.UUID, attempt: int, worker_id: int | None, outcome: Outcome) -> bool:
    """End a running generation exactly once; False when another attempt, worker or end came first."""
    with transaction.atomic():
        before = billing.taken(generation_id)
        moved = _running(generation_id, attempt, worker_id).update(
            state=outcome.state, reason=outcome.reason, ended_at=Now(), **_progress(outcome, before)
        )
        if not moved:
            return False
        row = Generation.objects.select_related(*BILLED).get(pk=generation_id)
        _write_text(row, outcome, outcome.finish or outcome.reason)
        billing.close_quota(row, billing.bill(row, outcome, before))
        fleet.give_slot_back(generation_id)
        transaction.on_commit(partial(doorbell.ring, bells.line(), bells.user(row.user_id, "conversations")))
    return True


def hand_on(generation_id: uuid.UUID, attempt: int, worker_id: int | None, outcome: Outcome) -> bool:
    """Running → waiting, at its old place, with its text kept and what it took billed; False where it has to end.

    The reservation stays open: it is settled once, when the answer has ended.
    """
    with transaction.atomic():
        before = billing.taken(generation_id)
        rows = _running(generation_id, attempt, worker_id).filter(attempt__lt=ATTEMPTS, wants_stop=False)
        row = rows.select_related(*BILLED).first()
        if row is None or not rows.update(
            state=State.WAITING,
            worker=None,
            released_at=None,
            started_at=None,
            text_from=len(outcome.text),
            thinking_from=len(outcome.thinking),
            **_progress(outcome, before),
        ):
            return False
        _write_text(row, outcome, "")
        billing.bill(row, outcome, before)
        fleet.give_slot_back(generation_id)
        transaction.on_commit(partial(doorbell.ring, bells.line(), bells.user(row.user_id, "conversations")))
    return True


def put_back(generation_id: uuid.UUID, attempt: int, worker_id: int) -> bool:
    """Running → waiting, at its old place, for one that no engine has begun; False where it has to end instead."""
    with transaction.atomic():
        rows = Generation.objects.filter(pk=generation_id, attempt=attempt, worker_id=worker_id, state=State.RUNNING)
        moved = rows.filter(attempt__lt=ATTEMPTS, wants_stop=False).update(
            state=State.WAITING, worker=None, deployment=None, released_at=None, started_at=None
        )
        if not moved:
            return False
        fleet.give_slot_back(generation_id)
        transaction.on_commit(partial(doorbell.ring, bells.line()))
    return True


def end_unstarted(generation_id: uuid.UUID, state: str, reason: str) -> bool:
    """End one that no engine has now: waiting, or released and not yet claimed."""
    with transaction.atomic():
        moved = Generation.objects.filter(pk=generation_id, state__in=[State.WAITING, State.RELEASED]).update(
            state=state, reason=reason, ended_at=Now(), attempt=F("attempt") + 1
        )
        if not moved:
            return False
        row = Generation.objects.get(pk=generation_id)
        billing.close_quota(row, billing.taken(generation_id))
        fleet.give_slot_back(generation_id)
        if row.message_id is not None:
            Message.objects.filter(pk=row.message_id).update(finish=reason)
        news = bells.line(), bells.ended(generation_id), bells.user(row.user_id, "conversations")
        transaction.on_commit(partial(doorbell.ring, *news))
    return True


def settled(row: Generation) -> Settled | None:
    """The end as the database has it (`row` with its message); None while it runs."""
    if row.state in Generation.LIVE:
        return None
    text = row.message.text if row.message else ""
    usage = {
        "prompt_tokens": row.prompt_tokens,
        "cached_tokens": row.cached_tokens,
        "thinking_tokens": row.thinking_tokens,
        "answer_tokens": row.answer_tokens,
        "thinking_ms": row.message.thinking_ms if row.message else None,
        "first_token_ms": ledger_facts.milliseconds(row.created_at, row.first_token_at),
        "total_ms": ledger_facts.milliseconds(row.created_at, row.ended_at),
    }
    finish = row.message.finish if row.message else ""
    return Settled(row.state, row.reason, finish, usage, hashlib.sha256(text.encode()).hexdigest())


def _running(generation_id: uuid.UUID, attempt: int, worker_id: int | None) -> QuerySet[Generation]:
    held_by = Q(worker_id=worker_id) if worker_id is not None else Q(worker__isnull=True)
    return Generation.objects.filter(held_by, pk=generation_id, attempt=attempt, state=State.RUNNING)


def _progress(outcome: Outcome, before: Taken) -> dict[str, Any]:
    """Fields of the row: its tokens are those of all attempts, its first token is that of the first."""
    is_first = outcome.has_token and before.attempts == 0
    first = F("started_at") + timedelta(milliseconds=outcome.prefill_ms)
    return {
        "first_token_at": first if is_first else F("first_token_at"),
        "last_seq": outcome.last_seq,
        "prompt_tokens": before.prompt_tokens + outcome.prompt_tokens,
        "cached_tokens": before.cached_tokens + outcome.cached_tokens,
        "thinking_tokens": before.thinking_tokens + outcome.thinking_tokens,
        "answer_tokens": before.answer_tokens + outcome.answer_tokens,
    }


def _write_text(row: Generation, outcome: Outcome, finish: str) -> None:
    if row.message_id is None:
        return
    spent = outcome.thinking_ms
    Message.objects.filter(pk=row.message_id).update(
        text=outcome.text,
        thinking=outcome.thinking,
        thinking_ms=F("thinking_ms") if spent is None else Coalesce(F("thinking_ms"), 0) + spent,
        finish=finish,
    )
    if row.token_id:  # a script's conversation is kept for ten minutes from now
        Conversation.objects.filter(active_leaf_id=row.message_id).update(last_activity_at=Now())
