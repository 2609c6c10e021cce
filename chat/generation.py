"""A wish for an answer, from submit to stop: one transaction each, guarded so that losers return quietly."""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils import timezone

from accounts import quota
from accounts.models import ApiToken, User
from chat import errors, history
from chat.models import Conversation, Generation, Message
from live import doorbell
from models_admin import fleet

TEXT_LIMIT = 200_000  # characters
TITLE_LENGTH = 60
State = Generation.State
LINE_BELL, CONTROL_BELL, LIVE_BELL = "r1:line", "r1:ctl", "r1:live"


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
    digest = _digest(ask)
    replay = _replay(user, ask.key, digest)
    if replay:
        return replay
    try:
        with transaction.atomic():
            _admit(user, ask.model)
            conversation = _conversation(user, ask)
            question = _append(conversation, Message.Role.USER, ask.text, ask.model)
            return _wish(user, ask, digest, conversation, question)
    except IntegrityError:
        replay = _replay(user, ask.key, digest)
        if replay is None:
            raise errors.StillAnswering from None
        return replay


def regenerate(user: User, message_id: uuid.UUID, key: uuid.UUID) -> Submitted:
    """Another answer to the same question, as a new version beside the old one."""
    digest = hashlib.sha256(f"regenerate {message_id}".encode()).hexdigest()
    replay = _replay(user, key, digest)
    if replay:
        return replay
    try:
        old = history.answer_for(user, message_id)
    except history.NotFound:
        raise errors.NotYours from None
    conversation, question = old.conversation, old.parent
    if question is None:
        raise errors.NotYours
    ask = Ask(key=key, text=question.text, model=old.model_key or conversation.model_key)
    try:
        with transaction.atomic():
            _admit(user, ask.model)
            _refuse_while_answering(conversation)
            return _wish(user, ask, digest, conversation, question)
    except IntegrityError:
        replay = _replay(user, key, digest)
        if replay is None:
            raise errors.StillAnswering from None
        return replay


def stop(generation_id: uuid.UUID, *, by: User) -> None:
    """Stop it wherever it is: in the line at once, at an engine by its runner. Raises `errors.NotYours`."""
    try:
        found = history.generation_for(by, generation_id)
    except history.NotFound:
        raise errors.NotYours from None
    from chat import settlement  # settlement sends the same bells; generation is its lower half

    if settlement.end_unstarted(found.pk, State.STOPPED, "stopped"):
        return
    Generation.objects.filter(pk=found.pk, state__in=Generation.LIVE).update(wants_stop=True)
    doorbell.ring(CONTROL_BELL, str(found.pk).encode())


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
    found = Generation.objects.filter(user=user, client_key=key).select_related("message").first()
    if found is None or found.message is None:
        return None
    if found.request_digest != digest:
        raise errors.KeyReused
    answer = found.message
    return Submitted(found.pk, answer.conversation_id, answer.parent_id, answer.pk, replayed=True)


def _admit(user: User, model_key: str) -> None:
    """The person's row is locked first: two tabs cannot both take the last place of his cap."""
    User.objects.select_for_update().get(pk=user.pk, is_active=True)
    if not any(choice.key == model_key for choice in fleet.choices()):
        raise errors.NoModel
    waiting = Generation.objects.filter(user=user, state=State.WAITING).count()
    if waiting >= settings.WAITING_PER_USER:
        raise errors.TooManyWaiting(settings.WAITING_PER_USER)


def _conversation(user: User, ask: Ask) -> Conversation:
    if ask.conversation is not None:
        try:
            found = history.conversation(user, ask.conversation)
        except history.NotFound:
            raise errors.NotYours from None
        _refuse_while_answering(found)
        return found
    title = " ".join(ask.text.split())[:TITLE_LENGTH]
    made = Conversation.objects.create(user=user, title=title, model_key=ask.model, source=ask.source)
    for role, text in ask.turns:
        _append(made, Message.Role(role), text, ask.model)
    return made


def _refuse_while_answering(conversation: Conversation) -> None:
    if Generation.objects.filter(message__conversation=conversation, state__in=Generation.LIVE).exists():
        raise errors.StillAnswering


def _append(conversation: Conversation, role: str, text: str, model_key: str) -> Message:
    made = Message.objects.create(
        conversation=conversation, parent_id=conversation.active_leaf_id, role=role, text=text, model_key=model_key
    )
    conversation.active_leaf = made
    return made


def _wish(user: User, ask: Ask, digest: str, conversation: Conversation, question: Message) -> Submitted:
    answer = Message.objects.create(
        conversation=conversation, parent=question, role=Message.Role.ASSISTANT, model_key=ask.model
    )
    made = Generation.objects.create(
        user=user,
        message=answer,
        token=ask.token,
        client_key=ask.key,
        request_digest=digest,
        model_key=ask.model,
        options={"think": ask.think, **ask.options},
        queue_class=ask.queue_class,
    )
    estimate = quota.Amounts(gpu_ms=0, output_tokens=int(ask.options.get("max_tokens") or 1000), requests=1)
    try:
        quota.reserve(user=user, token=ask.token, generation_id=made.pk, model_key=ask.model, amounts=estimate)
    except quota.QuotaExceeded as error:
        raise errors.QuotaUsedUp(max(1, int((error.resets_at - timezone.now()).total_seconds()))) from error
    Conversation.objects.filter(pk=conversation.pk).update(
        active_leaf=answer, last_activity_at=Now(), model_key=ask.model
    )
    transaction.on_commit(partial(doorbell.ring, LINE_BELL))
    transaction.on_commit(partial(ring_user, user.pk, "conversations"))
    return Submitted(made.pk, conversation.pk, question.pk, answer.pk)


def ring_user(user_id: int, what: str) -> None:
    """Tell the person's other tabs to look again."""
    doorbell.ring("r1:user", msgspec.msgpack.encode([user_id, what]))
