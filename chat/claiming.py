"""Taking a released generation into work: who is first gets the request for the engine, everybody else nothing."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import cast

from django.db import transaction
from django.db.models.functions import Now
from django.utils.crypto import salted_hmac

from accounts import quota, rights
from accounts.models import User
from chat import carrying_on, errors, history, settlement, thinking_end
from chat.answer_log import Written
from chat.models import Generation, Message
from models_admin.backends import base
from models_admin.backends.capabilities import continuing
from models_admin.engines import access
from models_admin.loads.probing import endpoint_of
from models_admin.models import Deployment

State = Generation.State


@dataclass(frozen=True)
class Work:
    """What a claim hands out. `before` was written and `gpu_ms` charged by earlier attempts.

    `decode_us` is what a token costs now, `thinking_budget` in tokens.
    """

    generation_id: uuid.UUID
    attempt: int
    message_id: uuid.UUID
    engine_id: int
    endpoint: base.Endpoint
    request: base.ChatRequest
    tokens_per_second: int | None
    is_cloud: bool = False
    deployment_id: int = 0
    has_failed: bool = False  # its deployment, the last time
    gpu_ms: int = 0
    decode_us: int = 0
    before: Written = field(default_factory=Written)
    thinking_budget: int | None = None
    can_end_thinking: bool = False


class NotAllowed(Exception):
    """Its person may not ask this model any more, or it may not be sent to this cloud: `code` says why."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


def claim(generation_id: uuid.UUID, attempt: int, worker_id: int) -> Work | None:
    """Move released → running; None when somebody else has it, or it was stopped.

    Whatever is raised has moved nothing: `SecretUnreadable` for an engine's key, `NotAllowed`.
    """
    with transaction.atomic():
        moved = Generation.objects.filter(
            pk=generation_id, attempt=attempt, state=State.RELEASED, wants_stop=False
        ).update(state=State.RUNNING, worker_id=worker_id, started_at=Now())
        if moved:
            return _work(generation_id)
    if Generation.objects.filter(pk=generation_id, state=State.RELEASED, wants_stop=True).exists():
        settlement.end_unstarted(generation_id, State.STOPPED, "stopped")
    return None


def _work(generation_id: uuid.UUID) -> Work:
    row = Generation.objects.select_related(
        "user__main_group", "deployment__engine", "deployment__artifact__model", "message__conversation"
    ).get(pk=generation_id)
    answer, deployment = row.message, row.deployment
    if answer is None or deployment is None:
        raise LookupError(f"message or deployment of {generation_id} is gone")
    # Asked again at the last door: rights, a lock or an engine may have changed while it waited.
    _check_rights(row.user, row.model_key, deployment, is_local_only=answer.conversation.is_local_only)
    _check_price(row, deployment)
    before = _before(row, answer)
    return Work(
        generation_id,
        row.attempt,
        answer.pk,
        deployment.engine_id,
        endpoint_of(deployment.engine),
        _request(row, answer, deployment, before),
        deployment.tokens_per_second,
        deployment.engine.is_cloud,
        deployment.pk,
        has_failed=deployment.failures > 0,
        gpu_ms=row.gpu_ms,
        decode_us=row.decode_us,
        before=before,
        thinking_budget=access.thinking_budget(row.user, row.model_key),
        can_end_thinking=thinking_end.ABILITY in continuing(deployment.engine.kind, deployment.artifact.ref),
    )


def _before(row: Generation, answer: Message) -> Written:
    """What is there already. A wish that goes on with an older one's answer counts its own tokens only."""
    return Written(
        answer.thinking[: row.thinking_from], answer.text[: row.text_from], row.thinking_tokens, row.answer_tokens
    )


def _check_rights(user: User, model_key: str, deployment: Deployment, *, is_local_only: bool) -> None:
    if refused := access.why_not(user, model_key):
        raise NotAllowed(refused)
    if deployment.engine.is_cloud and is_local_only:
        raise NotAllowed(errors.LocalOnly.code)
    if deployment.engine.is_cloud and not rights.may_use_cloud(user):
        raise NotAllowed(errors.CloudNotAllowed.code)


def _check_price(row: Generation, deployment: Deployment) -> None:
    """Its price may have ended, or a limit of money come, while it waited."""
    if not deployment.engine.is_cloud or row.price_row_id is not None:
        return
    if quota.has_budget(row.user, row.token, row.model_key):
        raise NotAllowed(errors.NoPrice.code)


def _request(row: Generation, answer: Message, deployment: Deployment, before: Written) -> base.ChatRequest:
    """Earlier turns without their thinking, up to the question; an empty answer of a failed turn is left out."""
    path = history.path_to(answer.conversation, answer.parent_id)
    turns = tuple(base.ChatMessage(cast(base.Role, m.role), m.text) for m in path if m.text)
    options, model = row.options, deployment.artifact.model
    schema = options.get("json_schema")
    return base.ChatRequest(
        model=deployment.artifact.ref,
        messages=turns,
        max_tokens=left_of(options.get("max_tokens"), before.thinking_tokens + before.answer_tokens),
        temperature=options.get("temperature", model.temperature),
        top_p=options.get("top_p", model.top_p),
        seed=options.get("seed"),
        stop=tuple(options.get("stop") or ()),
        think=options.get("think", "auto"),
        effort=options.get("effort"),
        response_format=None if schema is None else base.JsonFormat(schema),
        prefix=carrying_on.prefix(before.thinking, before.answer, is_closed=bool(row.thinking_end)),
        context_tokens=deployment.context_tokens,
        end_user=pseudonym(row.user_id) if deployment.engine.is_cloud else "",
    )


def left_of(max_tokens: int | None, written: int) -> int | None:
    """A limit is that of the whole answer; where it is just used up, one token more says so."""
    return None if max_tokens is None else max(1, max_tokens - written)


def pseudonym(user_id: int) -> str:
    """A person as a cloud sees him: always the same, and nobody without the site's secret key finds out who."""
    return salted_hmac("r1web.cloud.end-user", str(user_id), algorithm="sha256").hexdigest()
