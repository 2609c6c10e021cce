"""A wish for an answer, from submit to stop: one transaction each, guarded so that losers return quietly."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from accounts import quota, rights
from accounts.models import ApiToken, User
from chat import bells, carrying_on, errors, estimating, history, settlement
from chat.models import Conversation, Generation, Message
from live import doorbell
from models_admin.engines import access, fleet, row_locks

TEXT_LIMIT = 200_000  # characters
TITLE_LENGTH = 60
State = Generation.State
EMPTY_ANSWER = (Message.Role.ASSISTANT, "")


@dataclass(frozen=True)
class Ask:
    """A wish. `turns` (role, text) come before `text` and are given by scripts only; pages name a conversation."""

    key: uuid.UUID
    text: str
    model: str
    think: str = "auto"
    conversation: uuid.UUID | None = None
    options: dict[str, Any] = field(default_factory=dict)
    turns: tuple[tuple[str, str], ...] = ()
    source: str = Conversation.Source.WEB
    token: ApiToken | None = None
    queue_class: str = Generation.QueueClass.INTERACTIVE


@dataclass(frozen=True)
class Submitted:
    """What submit made, or had made before under the same key (`replayed`)."""

    generation: uuid.UUID
    conversation: uuid.UUID
    message: uuid.UUID | None
    answer: uuid.UUID
    replayed: bool = False


def submit(user: User, ask: Ask) -> Submitted:
    """Store question, empty answer, generation and reservation in one transaction. Raises `errors.WishRefused`."""
    _check_text(ask.text)
    for _role, text in ask.turns:
        _check_text(text, may_be_empty=True)
    for text in ask.options.get("stop") or ():
        _check_text(text, may_be_empty=True)

    def make(digest: str) -> Submitted:
        _admit(user, ask.model, ask.queue_class)
        conversation = _conversation(user, ask)
        _keep_at_home(user, conversation, ask.model)
        messages = _append(conversation, [*ask.turns, (Message.Role.USER, ask.text), EMPTY_ANSWER], ask.model)
        read = estimating.read_before(conversation.pk) + estimating.tokens_in(
            ask.text, *(text for _, text in ask.turns)
        )
        return _wish(user, ask, digest, messages[-1], prompt_tokens=read)

    return _once(user, ask.key, _digest(ask), make)


def regenerate(user: User, message_id: uuid.UUID, key: uuid.UUID, *, model: str = "") -> Submitted:
    """Another answer to the same question, as a new version beside the old one; by another model where one is named.

    An answer that still waits for the other model leaves the line for it; one that has begun raises `StillAnswering`.
    """

    def make(digest: str) -> Submitted:
        try:
            old = history.answer_for(user, message_id)
        except history.NotFound:
            raise errors.NotYours from None
        conversation, question = old.conversation, old.parent
        if question is None:
            raise errors.NotYours
        ask = Ask(key=key, text=question.text, model=model or old.model_key or conversation.model_key)
        _admit(user, ask.model)
        _keep_at_home(user, conversation, ask.model)
        if model:
            _leave_line(old)
        _refuse_while_answering(conversation)
        conversation.active_leaf = question
        (answer,) = _append(conversation, [EMPTY_ANSWER], ask.model)
        read = estimating.read_for(old.pk)
        read = read or estimating.read_before(conversation.pk) + estimating.tokens_in(question.text)
        return _wish(user, ask, digest, answer, prompt_tokens=read)

    return _once(user, key, hashlib.sha256(f"regenerate {message_id} {model}".encode()).hexdigest(), make)


def _leave_line(answer: Message) -> None:
    for key in answer.generations.filter(state=State.WAITING).values_list("pk", flat=True):
        settlement.end_unstarted(key, State.STOPPED, "switched")


def go_on(user: User, message_id: uuid.UUID, key: uuid.UUID) -> Submitted:
    """The same answer, gone on with behind its text, once its model can. Raises `errors.WishRefused`."""

    def make(digest: str) -> Submitted:
        answer, question = _answered(user, message_id)
        _admit_again(user, answer.conversation, answer.model_key)
        last = Generation.objects.filter(message=answer).order_by("-created_at").first()
        has_text = bool(answer.text or answer.thinking)
        if last is None or not has_text or not carrying_on.can_go_on(last, answer.thinking, answer.text):
            raise errors.CannotGoOn
        options = {**last.options}
        ask = Ask(
            key=key,
            text=question.text,
            model=answer.model_key,
            think=options.pop("think", "auto"),
            options=options,
        )
        Message.objects.filter(pk=answer.pk).update(finish="")
        return _wish(user, ask, digest, answer, prompt_tokens=estimating.read_to_go_on(answer.pk))

    return _once(user, key, hashlib.sha256(f"continue {message_id}".encode()).hexdigest(), make)


def answer_now(generation_id: uuid.UUID, *, by: User) -> None:
    """End its thinking and have the answer written from what was thought. Raises `errors.NotYours`."""
    try:
        found = history.generation_for(by, generation_id)
    except history.NotFound:
        raise errors.NotYours from None
    if Generation.objects.filter(pk=found.pk, state__in=Generation.LIVE).update(wants_answer=True):
        doorbell.ring(bells.answer_now(found.pk))


def stop(generation_id: uuid.UUID, *, by: User) -> None:
    """Stop it wherever it is. Raises `errors.NotYours`."""
    try:
        found = history.generation_for(by, generation_id)
    except history.NotFound:
        raise errors.NotYours from None
    stop_by_id(found.pk)


def stop_by_id(generation_id: uuid.UUID) -> None:
    """Stop one for whoever may: in the line at once, at an engine by its runner. Nothing happens to an ended one."""
    end = partial(settlement.end_unstarted, generation_id, State.STOPPED, "stopped")
    if row_locks.again_after_conflict(end):
        return
    if Generation.objects.filter(pk=generation_id, state__in=Generation.LIVE).update(wants_stop=True):
        doorbell.ring(bells.control(generation_id))


def _answered(user: User, message_id: uuid.UUID) -> tuple[Message, Message]:
    """An answer and its question. Raises NotYours."""
    try:
        answer = history.answer_for(user, message_id)
    except history.NotFound:
        raise errors.NotYours from None
    if answer.parent is None:
        raise errors.NotYours
    return answer, answer.parent


def _admit_again(user: User, conversation: Conversation, model_key: str) -> None:
    _admit(user, model_key)
    _keep_at_home(user, conversation, model_key)
    _refuse_while_answering(conversation)


def _once(user: User, key: uuid.UUID, digest: str, make: Callable[[str], Submitted]) -> Submitted:
    """What `make` makes in one transaction, or what an earlier or simultaneous wish with the same key has made.

    A switch gives back of one limit before it takes of another: two in opposite ways may wait in a circle, and whom
    the database ends does it again.
    """
    replay = _replay(user, key, digest)
    if replay is not None:
        return replay

    def make_at_once() -> Submitted:
        with transaction.atomic():
            return make(digest)

    try:
        return row_locks.again_after_conflict(make_at_once)
    except (IntegrityError, errors.WishRefused) as error:
        replay = _replay(user, key, digest)
        if replay is not None:
            return replay
        if isinstance(error, errors.WishRefused):
            raise
        raise errors.StillAnswering from None


def _check_text(text: str, *, may_be_empty: bool = False) -> None:
    if len(text) > TEXT_LIMIT:
        raise errors.MessageTooLong(TEXT_LIMIT)
    if "\x00" in text or any("\ud800" <= character <= "\udfff" for character in text):
        raise errors.BadText
    if not may_be_empty and not text.strip():
        raise errors.MessageEmpty


def _digest(ask: Ask) -> str:
    parts = [str(ask.conversation), ask.model, ask.think, ask.text, *(f"{r}:{t}" for r, t in ask.turns)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def _replay(user: User, key: uuid.UUID, digest: str) -> Submitted | None:
    rows = Generation.objects.filter(user=user, client_key=key).select_related("message")
    found = rows.defer("message__text", "message__thinking").first()
    if found is None or found.message is None:
        return None
    if found.request_digest != digest:
        raise errors.KeyReused
    answer = found.message
    return Submitted(found.pk, answer.conversation_id, answer.parent_id, answer.pk, replayed=True)


def _admit(user: User, model_key: str, class_: str = Generation.QueueClass.INTERACTIVE) -> None:
    """The person's row is locked first: two tabs cannot both take the last place of his cap.

    Each class has its own: a hundred calls of a script keep nobody from asking in the browser.
    """
    User.objects.select_for_update().only("pk").get(pk=user.pk, is_active=True)
    _check_access(user, model_key)
    waiting = Generation.objects.filter(user=user, state=State.WAITING, queue_class=class_).count()
    if waiting >= settings.WAITING_PER_USER:
        raise errors.TooManyWaiting(settings.WAITING_PER_USER)


def _check_access(user: User, model_key: str) -> None:
    """A model that somebody may not see looks like one that is not there."""
    refused = access.why_not(user, model_key)
    if not fleet.is_offered(model_key) or refused == access.NO_MODEL:
        raise errors.NoModel
    if refused:
        raise errors.MayNotAsk if refused == access.MAY_NOT_ASK else errors.MayNotLoad


def _keep_at_home(user: User, conversation: Conversation, model_key: str) -> None:
    if fleet.is_cloud(model_key):
        if not rights.may_use_cloud(user):
            raise errors.CloudNotAllowed
        if conversation.is_local_only:
            raise errors.LocalOnly


def _conversation(user: User, ask: Ask) -> Conversation:
    if ask.conversation is not None:
        try:
            found = history.conversation(user, ask.conversation)
        except history.NotFound:
            raise errors.NotYours from None
        _refuse_while_answering(found)
        return found
    return Conversation.objects.create(user=user, title=_title(ask.text), model_key=ask.model, source=ask.source)


def _title(text: str) -> str:
    """Its beginning, up to the end of a word where there is one near."""
    line = " ".join(text.split())
    if len(line) <= TITLE_LENGTH:
        return line
    head, _blank, last = line[:TITLE_LENGTH].rpartition(" ")
    return (head if head and len(last) < TITLE_LENGTH // 3 else line[: TITLE_LENGTH - 1]) + "…"


def _refuse_while_answering(conversation: Conversation) -> None:
    if Generation.objects.filter(message__conversation=conversation, state__in=Generation.LIVE).exists():
        raise errors.StillAnswering


def _append(conversation: Conversation, turns: Sequence[tuple[str, str]], model_key: str) -> list[Message]:
    """Messages (role, text) below the active leaf, each the child of the one before; the last is the new leaf."""
    parent, made = conversation.active_leaf_id, []
    for role, text in turns:
        message = Message(
            conversation=conversation, parent_id=parent, role=Message.Role(role), text=text, model_key=model_key
        )
        parent = message.pk
        made.append(message)
    return Message.objects.bulk_create(made)


def _wish(user: User, ask: Ask, digest: str, answer: Message, *, prompt_tokens: int) -> Submitted:
    options = {"think": ask.think, **ask.options}
    estimate = estimating.estimate(
        user,
        ask.model,
        think=estimating.think_of(options),
        prompt_tokens=prompt_tokens,
        max_tokens=ask.options.get("max_tokens"),
    )
    made = Generation.objects.create(
        user=user,
        message=answer,
        token=ask.token,
        client_key=ask.key,
        request_digest=digest,
        model_key=ask.model,
        options=options,
        queue_class=ask.queue_class,
        text_from=len(answer.text),
        thinking_from=len(answer.thinking),
        estimate_gpu_ms=estimate.gpu_ms,
        estimate_tokens=estimate.output_tokens,
    )
    try:
        quota.reserve(user=user, token=ask.token, generation_id=made.pk, model_key=ask.model, amounts=estimate.amounts)
    except quota.QuotaExceeded as error:
        raise errors.QuotaUsedUp(error) from error
    except quota.PriceUnknown as error:
        raise errors.NoPrice(error) from error
    Conversation.objects.filter(pk=answer.conversation_id).update(
        active_leaf=answer, last_activity_at=Now(), model_key=ask.model
    )
    transaction.on_commit(partial(doorbell.ring, bells.line(), bells.user(user.pk, "conversations")))
    return Submitted(made.pk, answer.conversation_id, answer.parent_id, answer.pk)
