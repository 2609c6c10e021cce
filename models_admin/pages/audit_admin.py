"""The audit, for admins: who did what to which thing, in words. Read only."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.accounting_admin import ReadOnly
from models_admin.models import AuditEntry
from models_admin.pages import audit_words
from models_admin.pages.engine_admin import two_lines


class VerbFilter(admin.AllValuesFieldListFilter):
    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": audit_words.verb(str(choice["display"]))}


class KindFilter(admin.AllValuesFieldListFilter):
    def choices(self, changelist: Any) -> Iterator[Any]:
        for choice in super().choices(changelist):
            yield {**choice, "display": audit_words.kind(str(choice["display"]))}


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnly):
    list_display = ("at", "who", "done", "thing", "change")
    list_filter = (("verb", VerbFilter), ("object_kind", KindFilter))
    search_fields = ("actor", "object_name")
    fields = ("at", "who", "done", "thing", "change", "why")

    @admin.display(description=_("who"), ordering="actor")
    def who(self, entry: AuditEntry) -> str:
        return entry.actor or gettext("the site")

    @admin.display(description=_("what"), ordering="verb")
    def done(self, entry: AuditEntry) -> str:
        return audit_words.verb(entry.verb)

    @admin.display(description=_("thing"), ordering="object_name")
    def thing(self, entry: AuditEntry) -> SafeString:
        return two_lines(audit_words.thing(entry), audit_words.kind_beside(entry))

    @admin.display(description=_("change"))
    def change(self, entry: AuditEntry) -> SafeString:
        return two_lines(audit_words.change(entry), audit_words.why(entry))
