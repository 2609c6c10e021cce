"""Titles by the model itself, in idle time: asked when nobody waits, on the site's own machines, once a conversation.

A title is written as the answer in a conversation of its own, which nobody sees and which goes when it has ended: what
runs, stops and is billed there is an answer like any other, and nothing of it touches the conversation it is for.
"""

from __future__ import annotations

import re
import unicodedata
import uuid
from datetime import timedelta
from functools import partial
from typing import Final

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet
from django.db.models.functions import Now

from chat import bells, estimating, settlement
from chat.models import Conversation, Generation, Message
from live import doorbell
from models_admin.engines import fleet
from models_admin.engines.fleet import DEMO_MODEL

State, Source, Idle = Generation.State, Conversation.Source, Generation.QueueClass.IDLE
PROMPT: Final = (
    "Write a title for a conversation that begins with the message below: at most six words, in the language of that "
    "message, without quotation marks. Answer with the title alone.\n\n{question}"
)
READ: Final = 1_000  # characters of the question
MAX_TOKENS: Final = 32
MOST: Final = 60  # characters of a title
AT_ONCE: Final = 2
LOOKED_AT: Final = 20
YOUNG: Final = timedelta(days=1)
# Nobody waited a moment ago; if somebody does now, the title is asked for another time.
PATIENCE: Final = timedelta(seconds=10)
# Written out, so that the planner sees that the partial indexes hold them: a bound value it cannot know.
IN_IDLE_TIME: Final = "chat_conversation.source = 'idle'"
UNNAMED: Final = "NOT chat_conversation.is_named AND chat_conversation.source = 'web'"
_LEAD = re.compile(r"^(title|标题)\s*[:：]\s*", re.IGNORECASE)


def sweep() -> None:
    """Take over what was written, and ask for a few more. Raises DatabaseError."""
    for titled in _underway().select_related("titles", "active_leaf"):
        _look_after(titled)
    if settings.TITLES and not _is_busy():
        for conversation in _untitled()[:LOOKED_AT]:
            if _underway().count() >= AT_ONCE:
                return
            _ask(conversation)


def clean(text: str, finish: str) -> str:
    """A title out of what a model wrote; '' where it is none: cut off, too long, or about something else."""
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    bare = _LEAD.sub("", first.strip("#*_ ")).strip("\"'“”‘’「」《》`*_ ").rstrip(".。")
    title = " ".join("".join(c for c in bare if unicodedata.category(c)[0] != "C").split())
    return title if finish != "length" and "<" not in title and len(title) <= MOST else ""


def _is_busy() -> bool:
    return Generation.objects.filter(state=State.WAITING).exists()


def _underway() -> QuerySet[Conversation]:
    return Conversation.objects.extra(where=[IN_IDLE_TIME])  # nosec B610: a constant


def _untitled() -> QuerySet[Conversation]:
    """Answered, and still called by the beginning of its question."""
    answered = Generation.objects.filter(message__conversation=OuterRef("pk"), state=State.DONE)
    underway = Conversation.objects.filter(titles=OuterRef("pk"))
    rows = Conversation.objects.extra(where=[UNNAMED])  # nosec B610: a constant
    rows = rows.filter(Exists(answered), ~Exists(underway), deleted_at=None)
    return rows.filter(last_activity_at__gt=Now() - YOUNG).order_by("-last_activity_at")


def _ask(conversation: Conversation) -> None:
    question = Message.objects.filter(conversation=conversation, role=Message.Role.USER).order_by("created_at").first()
    if question is None or not _has_room(conversation.model_key):
        return
    user, prompt = conversation.user, PROMPT.format(question=question.text[:READ])
    estimate = estimating.estimate(
        user, conversation.model_key, think="off", prompt_tokens=estimating.tokens_in(prompt), max_tokens=MAX_TOKENS
    )
    with transaction.atomic():
        made = Conversation.objects.create(
            user=user, titles=conversation, source=Source.IDLE, model_key=conversation.model_key, is_local_only=True
        )
        asked = Message.objects.create(conversation=made, role=Message.Role.USER, text=prompt)
        made.active_leaf = Message.objects.create(conversation=made, parent=asked, role=Message.Role.ASSISTANT)
        made.save(update_fields=["active_leaf"])
        Generation.objects.create(
            user=user,
            message=made.active_leaf,
            client_key=uuid.uuid4(),
            request_digest="",
            model_key=conversation.model_key,
            options={"think": "off", "max_tokens": MAX_TOKENS},
            queue_class=Idle,
            estimate_gpu_ms=estimate.gpu_ms,
            estimate_tokens=estimate.output_tokens,
        )
        transaction.on_commit(partial(doorbell.ring, bells.line()))


def _has_room(model_key: str) -> bool:
    """A free slot at home, of an engine that answers without thinking first; the demo model knows no titles."""
    if model_key == DEMO_MODEL or not fleet.can(model_key, "thinking_off"):
        return False
    in_use = fleet.slots_in_use()
    warm = [row for row in fleet.warm_deployments(model_key) if not row.engine.is_cloud]
    return any(in_use.get(row.pk, 0) < row.slots for row in warm)


def _look_after(titled: Conversation) -> None:
    rows = list(Generation.objects.filter(message__conversation=titled))
    live = next((row for row in rows if row.state in Generation.LIVE), None)
    if live is None:
        _take_over(titled, is_tried=any(row.state != State.STOPPED for row in rows))
    elif Generation.objects.filter(pk=live.pk, state=State.WAITING, created_at__lt=Now() - PATIENCE).exists():
        settlement.end_unstarted(live.pk, State.STOPPED, "stopped")


def _take_over(titled: Conversation, *, is_tried: bool) -> None:
    """Its title, where nobody has named it meanwhile; what was tried in vain is not tried again."""
    target, answer = titled.titles, titled.active_leaf
    title = clean(answer.text, answer.finish) if answer else ""
    with transaction.atomic():
        if target and is_tried:
            rows = Conversation.objects.filter(pk=target.pk, is_named=False)
            rows.update(is_named=True, **({"title": title} if title else {}))
            transaction.on_commit(partial(doorbell.ring, bells.user(target.user_id, "conversations")))
        titled.delete()
