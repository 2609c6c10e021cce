"""The one door to conversations: whose is this row? Another's and a missing one look alike."""

from __future__ import annotations

import uuid

from django.db.models import QuerySet

from accounts.models import User
from chat.models import Conversation, Generation, Message


class NotFound(Exception):
    """No such row for this person."""


def for_user(user: User) -> QuerySet[Conversation]:
    """The person's conversations that are not in the trash."""
    return Conversation.objects.filter(user=user, deleted_at__isnull=True)


def conversation(user: User, conversation_id: uuid.UUID) -> Conversation:
    found = for_user(user).filter(pk=conversation_id).first()
    if found is None:
        raise NotFound
    return found


def generation_for(user: User, generation_id: uuid.UUID) -> Generation:
    rows = Generation.objects.filter(user=user, pk=generation_id, message__conversation__deleted_at__isnull=True)
    # Without the texts: a socket asks this for everything it watches, and each may be megabytes.
    found = rows.select_related("message").defer("message__text", "message__thinking").first()
    if found is None:
        raise NotFound
    return found


def answer_for(user: User, message_id: uuid.UUID) -> Message:
    rows = Message.objects.filter(
        pk=message_id,
        role=Message.Role.ASSISTANT,
        conversation__user=user,
        conversation__deleted_at__isnull=True,
    )
    found = rows.select_related("conversation", "parent").first()
    if found is None:
        raise NotFound
    return found


def path_to_leaf(conversation: Conversation) -> list[Message]:
    """The messages from the root to the active leaf, oldest first: one query, walked in Python."""
    return path_to(conversation, conversation.active_leaf_id)


def path_to(conversation: Conversation, leaf_id: uuid.UUID | None) -> list[Message]:
    rows = {row.pk: row for row in Message.objects.filter(conversation=conversation)}
    path: list[Message] = []
    while leaf_id is not None and leaf_id in rows:
        row = rows.pop(leaf_id)
        path.append(row)
        leaf_id = row.parent_id
    return path[::-1]
