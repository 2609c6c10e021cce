"""What the chat page shows, read from the tables and shaped for templates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from django.utils import formats, timezone
from django.utils.translation import gettext as _

from accounts.models import User
from chat import history, seams
from chat.models import Conversation, Generation, Message
from models_admin.models import CatalogueModel

LISTED = 300


@dataclass(frozen=True)
class Entry:
    """A conversation in the list. `state`: '', 'waiting' or 'running'."""

    id: UUID
    title: str
    leaf: UUID | None
    state: str


@dataclass
class Group:
    name: str
    entries: list[Entry] = field(default_factory=list)


@dataclass(frozen=True)
class Turn:
    """A message as drawn. Times in ms, `thinking_since` since the epoch; `after` and `finish` as the socket says."""

    is_question: bool = False
    id: UUID | None = None
    conversation: UUID | None = None
    text: str = ""
    thinking: str = ""
    thinking_ms: int | None = None
    thinking_since: int | None = None
    model_name: str = ""
    generation: UUID | None = None
    state: str = ""
    reason: str = ""
    finish: str = ""
    after: str = "0-0"
    thinking_tokens: int = 0
    answer_tokens: int = 0
    seconds: str = ""
    version: int = 1
    versions: int = 1
    earlier: UUID | None = None
    later: UUID | None = None
    model_key: str = ""
    thinking_end: str = ""
    seams: str = ""  # JSON, as in the socket's snapshot

    @property
    def is_live(self) -> bool:
        return self.state in Generation.LIVE


BLANK = Turn()


def groups(user: User) -> list[Group]:
    """The list by day: what is being answered first, then today, yesterday, 7 days, months."""
    rows = history.for_user(user).filter(source=Conversation.Source.WEB).order_by("-last_activity_at", "id")[:LISTED]
    live = dict(
        Generation.objects.filter(user=user, state__in=Generation.LIVE, message__isnull=False)
        .order_by("-created_at")
        .values_list("message__conversation_id", "state")
    )
    found: dict[str, Group] = {}
    running = Group(_("Being answered"))
    today = timezone.localtime().date()
    for row in rows:
        state = live.get(row.id, "")
        look = "" if not state else "waiting" if state == Generation.State.WAITING else "running"
        name = _day(timezone.localtime(row.last_activity_at), today)
        group = running if look else found.setdefault(name, Group(name))
        group.entries.append(Entry(row.id, row.title or _("New chat"), row.active_leaf_id, look))
    return ([running] if running.entries else []) + list(found.values())


def _day(at: datetime, today: date) -> str:
    days = (today - at.date()).days
    if days <= 0:
        return _("Today")
    if days == 1:
        return _("Yesterday")
    if days <= 7:
        return _("Last 7 days")
    return formats.date_format(at, "YEAR_MONTH_FORMAT")


def turns(conversation: Conversation) -> list[Turn]:
    """The messages from the root to the active leaf."""
    path = [message for message in history.path_to_leaf(conversation) if message.role != Message.Role.SYSTEM]
    # Text and `last_seq` of a running answer in one statement: the stream goes on exactly where the text ends.
    rows = Generation.objects.filter(message__in=[message.id for message in path]).select_related("message")
    generations = {row.message_id: row for row in rows.order_by("created_at")}
    path = [row.message if (row := generations.get(message.id)) and row.message else message for message in path]
    names = dict(CatalogueModel.objects.values_list("key", "name"))
    siblings = _siblings(conversation, path)
    seams_ = seams.of_messages([message.id for message in path if message.role == Message.Role.ASSISTANT])
    found = [_turn(message, generations.get(message.id), names, siblings) for message in path]
    return [
        replace(turn, seams=msgspec.json.encode(seams_[turn.id]).decode()) if turn.id in seams_ else turn
        for turn in found
    ]


def _siblings(conversation: Conversation, path: Iterable[Message]) -> dict[UUID | None, list[UUID]]:
    """Parent → its answers, oldest first."""
    found: dict[UUID | None, list[UUID]] = {}
    parents = [message.parent_id for message in path if message.role == Message.Role.ASSISTANT]
    rows = Message.objects.filter(conversation=conversation, parent_id__in=parents, role=Message.Role.ASSISTANT)
    for id_, parent_id in rows.order_by("created_at", "id").values_list("id", "parent_id"):
        found.setdefault(parent_id, []).append(id_)
    return found


def _turn(
    message: Message,
    generation: Generation | None,
    names: dict[str, str],
    siblings: dict[UUID | None, list[UUID]],
) -> Turn:
    if message.role == Message.Role.USER:
        return Turn(is_question=True, id=message.id, text=message.text)
    versions = siblings.get(message.parent_id) or [message.id]
    at = versions.index(message.id) if message.id in versions else 0
    return Turn(
        id=message.id,
        conversation=message.conversation_id,
        text=message.text,
        thinking=message.thinking,
        thinking_ms=message.thinking_ms,
        finish=message.finish,
        model_key=message.model_key,
        model_name=names.get(message.model_key, message.model_key),
        version=at + 1,
        versions=len(versions),
        earlier=versions[at - 1] if at else None,
        later=versions[at + 1] if at + 1 < len(versions) else None,
        **_progress(generation),
    )


def _progress(generation: Generation | None) -> dict[str, Any]:
    if generation is None:
        return {"state": Generation.State.DONE.value}
    since, end = generation.first_token_at, generation.ended_at
    total = (end - generation.started_at).total_seconds() if end and generation.started_at else 0
    return {
        "generation": generation.id,
        "state": generation.state,
        "reason": generation.reason,
        "thinking_end": generation.thinking_end,
        "after": f"{generation.attempt}-{generation.last_seq}",
        "thinking_since": int(since.timestamp() * 1000) if since else None,
        "thinking_tokens": generation.thinking_tokens,
        "answer_tokens": generation.answer_tokens,
        "seconds": _("{s} s").format(s=f"{total:.1f}") if total else "",
    }


def leaf_below(conversation: Conversation, message_id: str) -> Message | None:
    """The newest message under `message_id`, or None where that is no message of this conversation."""
    rows = {str(row.id): row for row in Message.objects.filter(conversation=conversation).order_by("created_at", "id")}
    newest = {str(row.parent_id): row for row in rows.values() if row.parent_id}
    found = rows.get(message_id)
    while found is not None and str(found.id) in newest:
        found = newest[str(found.id)]
    return found


def starters() -> list[dict[str, str]]:
    """First questions that even the demo model answers well."""
    return [
        {"icon": "proof", "title": _("Add two numbers"), "text": "12+34=?"},
        {"icon": "draft", "title": _("Sort a list"), "text": _("Sort: 31, 8, 19")},
        {"icon": "terminal", "title": _("Write some code"), "text": _("Write hello world in Python")},
        {"icon": "scales", "title": _("Make a table"), "text": _("Table of fruits")},
        {"icon": "info", "title": _("Look up a formula"), "text": _("What is the quadratic formula?")},
        {"icon": "clock", "title": _("Count up"), "text": _("Count from 1 to 20")},
    ]
