"""The ledger, for admins, and the look-only rows that other rooms' admins show too."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import OuterRef, QuerySet, Subquery
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import LedgerEntry, User


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are looked at, not written."""

    actions_on_bottom = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(LedgerEntry)
class LedgerEntryAdmin(ReadOnly):
    list_display = (
        *("at", "person", "model_key", "source", "group_name"),
        *("prompt_tokens", "thinking_tokens", "answer_tokens"),
    )
    list_filter = ("source", "model_key")
    ordering = ("-at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[LedgerEntry]:
        rows: QuerySet[LedgerEntry] = super().get_queryset(request)
        found = User.objects.filter(ledger_id=OuterRef("ledger_id")).values("username")[:1]
        return rows.annotate(person_name=Subquery(found))

    @admin.display(description=_("Person"), empty_value="–")
    def person(self, entry: LedgerEntry) -> str | None:
        name: str | None = entry.person_name  # type: ignore[attr-defined]
        return name
