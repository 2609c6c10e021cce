"""Conversations and generations, for admins: who, when and how much.

Of what was said only the titles of people's chats, which are the first words of the question until they are renamed.
A script's call has none here: it would be the prompt.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Case, Count, F, QuerySet, Value, When
from django.http import HttpRequest
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.accounting_admin import ReadOnly
from chat import generation
from chat.models import Conversation, Generation


@admin.register(Conversation)
class ConversationAdmin(ReadOnly):
    list_display = ("shown_title", "user", "model_key", "source", "turns", "last_activity_at", "deleted_at")
    list_filter = ("source", "model_key", ("deleted_at", admin.EmptyFieldListFilter))
    list_select_related = ("user",)
    search_fields = ("chat_title", "user__username")
    ordering = ("-last_activity_at",)
    fields = ("shown_title", "user", "model_key", "source", "turns", "created_at", "last_activity_at", "deleted_at")
    show_full_result_count = False

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows: QuerySet[Any] = super().get_queryset(request)
        chat_title = Case(When(source=Conversation.Source.API, then=Value("")), default=F("title"))
        shaped: QuerySet[Any] = rows.annotate(message_count=Count("messages"), chat_title=chat_title)
        return shaped

    @admin.display(description=_("Title"), ordering="chat_title")
    def shown_title(self, conversation: Conversation) -> str:
        is_call = conversation.source == Conversation.Source.API
        return gettext("API call") if is_call else conversation.title or str(conversation.pk)

    @admin.display(description=_("Messages"), ordering="message_count")
    def turns(self, conversation: Conversation) -> int:
        return int(conversation.message_count)  # type: ignore[attr-defined]


@admin.register(Generation)
class GenerationAdmin(ReadOnly):
    list_display = (
        "created_at",
        "user",
        "model_key",
        "state",
        "reason",
        "waited",
        "first_token",
        "took",
        "tokens",
    )
    list_filter = ("state", "reason", "model_key", "queue_class")
    list_select_related = ("user",)
    search_fields = ("id", "user__username")
    ordering = ("-created_at",)
    show_full_result_count = False
    actions = ("stop",)
    fields = (
        *("id", "user", "token", "model_key", "deployment", "worker", "queue_class", "state", "reason", "attempt"),
        *("created_at", "released_at", "started_at", "first_token_at", "ended_at", "waited", "first_token", "took"),
        *("prompt_tokens", "cached_tokens", "thinking_tokens", "answer_tokens"),
    )

    @admin.display(description=_("Waited"))
    def waited(self, row: Generation) -> str:
        return _seconds(row.created_at, row.released_at)

    @admin.display(description=_("First token after"))
    def first_token(self, row: Generation) -> str:
        return _seconds(row.created_at, row.first_token_at)

    @admin.display(description=_("Took"))
    def took(self, row: Generation) -> str:
        return _seconds(row.created_at, row.ended_at)

    @admin.display(description=_("Tokens"))
    def tokens(self, row: Generation) -> int:
        return row.thinking_tokens + row.answer_tokens

    def has_stop_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("chat.change_generation"))

    @admin.action(description=_("Stop"), permissions=["stop"])
    def stop(self, request: HttpRequest, queryset: QuerySet[Generation]) -> None:
        """Whatever is live among them, in the trash or not."""
        live = list(queryset.filter(state__in=Generation.LIVE).values_list("pk", flat=True))
        for pk in live:
            generation.stop_by_id(pk)
        said = ngettext("%(count)d answer is being stopped.", "%(count)d answers are being stopped.", len(live))
        self.message_user(request, said % {"count": len(live)})


def _seconds(start: datetime, end: datetime | None) -> str:
    return f"{(end - start).total_seconds():.1f} s" if end else "–"
