"""What an attempt is charged: a segment and a line of the ledger each, the quota once for all of them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from django.db import transaction
from django.utils import timezone

from accounts import ledger, quota
from chat import card_time, estimating, history, ledger_facts
from chat.models import Conversation, Generation, Segment
from chat.outcome import Outcome
from models_admin.engines.rates import Rate
from models_admin.family import prices
from models_admin.models import PriceRow

State = Generation.State


@dataclass(frozen=True)
class Taken:
    """What the ended attempts at an answer took together; `at` is when the last of them ended."""

    attempts: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    gpu_ms: int = 0
    cost_micro: int = 0
    at: datetime | None = None

    @property
    def amounts(self) -> quota.Amounts:
        output = self.thinking_tokens + self.answer_tokens
        return quota.Amounts(gpu_ms=self.gpu_ms, output_tokens=output, requests=1, cost_micro=self.cost_micro)


def taken(generation_id: uuid.UUID) -> Taken:
    segments = list(Segment.objects.filter(generation=generation_id).select_related("generation").order_by("attempt"))
    keys = [_key(row.generation, row.attempt, is_first=number == 0) for number, row in enumerate(segments)]
    booked = ledger.booked(keys)
    return Taken(
        len(segments),
        sum(row.prompt_tokens for row in segments),
        sum(row.cached_tokens for row in segments),
        sum(row.thinking_tokens for row in segments),
        sum(row.answer_tokens for row in segments),
        sum(row.gpu_ms for row in segments),
        booked.cost_micro,
        booked.at,
    )


def bill(row: Generation, outcome: Outcome, before: Taken) -> Taken:
    """Write down what this attempt took; returns what all took. `row` as it was while the attempt ran."""
    charged = _charge(row, outcome)
    stretch = card_time.stretch_of(row, outcome.prefill_ms + outcome.decode_ms)
    measured = card_time.measured_ms(row, stretch)
    Segment.objects.create(
        generation=row,
        attempt=row.attempt,
        deployment=row.deployment,
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        thinking_tokens=outcome.thinking_tokens,
        answer_tokens=outcome.answer_tokens,
        gpu_ms=charged,
        text_from=row.text_from,
        thinking_from=row.thinking_from,
        finish=outcome.finish or outcome.reason,
        began_at=stretch.begin if stretch else None,
        ended_at=stretch.end if stretch else None,
    )
    use = _use(row, outcome, before, _key(row, row.attempt, is_first=before.attempts == 0), charged, measured)
    ledger.record(_of_the_site(use) if _is_idle(row) else use)
    after = taken(row.pk)
    Generation.objects.filter(pk=row.pk).update(gpu_ms=after.gpu_ms)
    return after


def prompt_estimate(row: Generation) -> int:
    """Tokens of the question and of all before it, where nobody was told how much an engine read."""
    answer = row.message
    path = history.path_to(answer.conversation, answer.parent_id) if answer else []
    return estimating.tokens_in(*(message.text for message in path))


def close_quota(row: Generation, all_: Taken) -> None:
    """The reservation of an answer that has ended is settled with all its attempts, or given back where none began."""
    if all_.attempts == 0:
        quota.release(row.pk)
        return
    quota.settle(row.pk, all_.amounts)
    # A title is no answer of ordinary length.
    if row.state == State.DONE and not _is_idle(row):
        output, think = all_.thinking_tokens + all_.answer_tokens, estimating.think_of(row.options)
        transaction.on_commit(partial(estimating.learn, row.user_id, row.model_key, think, output), robust=True)


def _key(row: Generation, attempt: int, *, is_first: bool) -> str:
    """Kind "use" counts as a request: an answer in several parts is one, and what the site asks by itself is none."""
    kind = "idle" if _is_idle(row) else "use" if is_first else "part"
    return f"{row.pk}/{attempt}/{kind}"


def _is_idle(row: Generation) -> bool:
    return row.queue_class == Generation.QueueClass.IDLE


def _of_the_site(use: ledger.Use) -> ledger.Use:
    """Nobody asked for it: it is no person's use, and nobody waited."""
    return replace(use, ledger_id=ledger.SITE, group_name="", waiting_ms=0, loading_ms=0)


def _charge(row: Generation, outcome: Outcome) -> int:
    """GPU ms of this attempt, by the rates that were fixed when it was released."""
    rate = Rate(row.prefill_us, row.decode_us, 0)
    return rate.gpu_ms(
        prompt_tokens=outcome.prompt_tokens, cached_tokens=outcome.cached_tokens, output_tokens=outcome.output_tokens
    )


def _source(row: Generation) -> str:
    if _is_idle(row):
        return Conversation.Source.IDLE
    return Conversation.Source.API if row.token_id else Conversation.Source.WEB


def _price(row: Generation) -> PriceRow | None:
    """Fixed at its release; asked for now where it was released before prices were kept."""
    if row.price_row is None and row.deployment and row.released_at:
        return prices.of(row.deployment, row.released_at)
    return row.price_row


def _use(row: Generation, outcome: Outcome, before: Taken, key: str, charged: int, measured: int) -> ledger.Use:
    group, deployment = row.user.main_group, row.deployment
    price = _price(row)
    cost = prices.cost(
        price,
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        output_tokens=outcome.output_tokens,
    )
    return ledger.Use(
        key=key,
        at=timezone.now(),
        ledger_id=row.user.ledger_id,
        group_name=group.name if group else "",
        token_name=row.token.name if row.token else "",
        model_key=row.model_key,
        host_name=deployment.engine.host.name if deployment else "",
        source=_source(row),
        prompt_tokens=outcome.prompt_tokens,
        cached_tokens=outcome.cached_tokens,
        thinking_tokens=outcome.thinking_tokens,
        answer_tokens=outcome.answer_tokens,
        waiting_ms=ledger_facts.milliseconds(before.at or row.created_at, row.released_at) or 0,
        loading_ms=ledger_facts.loading_ms(row),
        prefill_ms=outcome.prefill_ms,
        decode_ms=outcome.decode_ms,
        gpu_ms_charged=charged,
        gpu_ms_measured=measured,
        cost_micro=cost.micro,
        currency=cost.currency,
        deployment_id=row.deployment_id,
        price_row_id=price.pk if price else None,
        unsent_thinking_tokens=ledger_facts.unsent_thinking_tokens(row) if outcome.has_token else 0,
    )
