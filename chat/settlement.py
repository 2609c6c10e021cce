"""How a generation ends: text, usage, segment, quota, ledger and slot in one guarded transaction, then the bells.

Whoever's guard (state, attempt, worker) does not match returns False and has changed nothing.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import F, Q, Sum
from django.db.models.functions import Now
from django.utils import timezone

from accounts import ledger, quota
from chat import bells, estimating, ledger_facts
from chat.models import Conversation, Generation, Message, Segment
from live import doorbell
from models_admin.engines import fleet
from models_admin.engines.rates import Rate
from models_admin.family import prices
from models_admin.models import PriceRow

State = Generation.State
ATTEMPTS = 3


@dataclass(frozen=True)
class Outcome:
    """What an attempt produced. Tokens as the engine counted them, times in ms; `last_seq` is the log's last entry."""

    state: str
    reason: str
    thinking: str
    text: str
    last_seq: int
    finish: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    thinking_ms: int | None = None
    prefill_ms: int = 0
    decode_ms: int = 0
    has_token: bool = False


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
    first = F("started_at") + timedelta(milliseconds=outcome.prefill_ms)
    with transaction.atomic():
        held_by = Q(worker_id=worker_id) if worker_id is not None else Q(worker__isnull=True)
        moved = Generation.objects.filter(held_by, pk=generation_id, attempt=attempt, state=State.RUNNING).update(
            state=outcome.state,
            reason=outcome.reason,
            ended_at=Now(),
            first_token_at=first if outcome.has_token else F("first_token_at"),
            last_seq=outcome.last_seq,
            prompt_tokens=outcome.prompt_tokens,
            cached_tokens=outcome.cached_tokens,
            thinking_tokens=outcome.thinking_tokens,
            answer_tokens=outcome.answer_tokens,
        )
        if not moved:
            return False
        row = Generation.objects.select_related(
            "user__main_group", "token", "deployment__engine__host", "deployment__artifact"
        ).get(pk=generation_id)
        _write_text(row, outcome)
        _bill(row, outcome)
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
    """End one that no engine has seen: waiting, or released and not yet claimed."""
    with transaction.atomic():
        moved = Generation.objects.filter(pk=generation_id, state__in=[State.WAITING, State.RELEASED]).update(
            state=state, reason=reason, ended_at=Now(), attempt=F("attempt") + 1
        )
        if not moved:
            return False
        quota.release(generation_id)
        fleet.give_slot_back(generation_id)
        row = Generation.objects.get(pk=generation_id)
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
        "first_token_ms": _between(row.created_at, row.first_token_at),
        "total_ms": _between(row.created_at, row.ended_at),
    }
    finish = row.message.finish if row.message else ""
    return Settled(row.state, row.reason, finish, usage, hashlib.sha256(text.encode()).hexdigest())


def _write_text(row: Generation, outcome: Outcome) -> None:
    if row.message_id is None:
        return
    Message.objects.filter(pk=row.message_id).update(
        text=outcome.text,
        thinking=outcome.thinking,
        thinking_ms=outcome.thinking_ms,
        finish=outcome.finish or outcome.reason,
    )
    if row.token_id:  # a script's conversation is kept for ten minutes from now
        Conversation.objects.filter(active_leaf_id=row.message_id).update(last_activity_at=Now())


def _bill(row: Generation, outcome: Outcome) -> None:
    charged = _charge(row, outcome)
    Segment.objects.create(
        generation=row,
        attempt=row.attempt,
        deployment=row.deployment,
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        thinking_tokens=outcome.thinking_tokens,
        answer_tokens=outcome.answer_tokens,
        gpu_ms=charged,
        finish=outcome.finish or outcome.reason,
    )
    Generation.objects.filter(pk=row.pk).update(gpu_ms=_charged_before(row) + charged)
    output = outcome.thinking_tokens + outcome.answer_tokens
    if outcome.state == State.DONE:
        think = estimating.think_of(row.options)
        transaction.on_commit(partial(estimating.learn, row.user_id, row.model_key, think, output), robust=True)
    use = _use(row, outcome, charged)
    quota.settle(row.pk, quota.Amounts(gpu_ms=charged, output_tokens=output, requests=1, cost_micro=use.cost_micro))
    ledger.record(use)


def _charged_before(row: Generation) -> int:
    """GPU ms of earlier attempts."""
    earlier = Segment.objects.filter(generation=row).exclude(attempt=row.attempt)
    return earlier.aggregate(gpu_ms=Sum("gpu_ms"))["gpu_ms"] or 0


def _charge(row: Generation, outcome: Outcome) -> int:
    """GPU ms of this attempt, by the rates that were fixed when it was released."""
    rate = Rate(row.prefill_us, row.decode_us, 0)
    return rate.gpu_ms(
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        output_tokens=outcome.thinking_tokens + outcome.answer_tokens,
    )


def _price(row: Generation) -> PriceRow | None:
    """For a cloud's answer alone: the price that was valid when it began, whatever changed meanwhile."""
    if row.deployment is None or not row.deployment.engine.is_cloud or row.started_at is None:
        return None
    return prices.price_at(row.deployment.engine.kind, row.deployment.artifact.ref, row.started_at)


def _cost(price: PriceRow | None, outcome: Outcome) -> prices.Cost:
    return prices.cost(
        price,
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        output_tokens=outcome.thinking_tokens + outcome.answer_tokens,
    )


def _use(row: Generation, outcome: Outcome, charged: int) -> ledger.Use:
    group, deployment = row.user.main_group, row.deployment
    price = _price(row)
    cost = _cost(price, outcome)
    return ledger.Use(
        key=f"{row.pk}/{row.attempt}/use",
        at=timezone.now(),
        ledger_id=row.user.ledger_id,
        group_name=group.name if group else "",
        token_name=row.token.name if row.token else "",
        model_key=row.model_key,
        host_name=deployment.engine.host.name if deployment else "",
        source="api" if row.token_id else "web",
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        thinking_tokens=outcome.thinking_tokens,
        answer_tokens=outcome.answer_tokens,
        waiting_ms=_between(row.created_at, row.released_at) or 0,
        loading_ms=ledger_facts.loading_ms(row),
        prefill_ms=outcome.prefill_ms,
        decode_ms=outcome.decode_ms,
        gpu_ms_charged=charged,
        gpu_ms_measured=outcome.prefill_ms + outcome.decode_ms,
        cost_micro=cost.micro,
        currency=cost.currency,
        deployment_id=row.deployment_id,
        price_row_id=price.pk if price else None,
        unsent_thinking_tokens=ledger_facts.unsent_thinking_tokens(row) if outcome.has_token else 0,
    )


def _between(start: datetime, end: datetime | None) -> int | None:
    return None if end is None else max(0, int((end - start).total_seconds() * 1000))
