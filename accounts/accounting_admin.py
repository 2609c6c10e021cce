"""Limits and the ledger, for admins, and the look-only rows that other rooms' admins show too."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.db.models import Case, CharField, OuterRef, QuerySet, Subquery, When
from django.forms import IntegerField, ModelChoiceField, ModelForm
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.models import ApiToken, Group, LedgerEntry, QuotaLimit, User


class ReadOnly(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that are looked at, not written."""

    actions_on_bottom = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class QuotaLimitForm(ModelForm):  # type: ignore[type-arg]
    """One choice for each kind of subject, named as the kind is; the chosen row's number is stored."""

    user = ModelChoiceField(
        User.objects.all(),
        label=_("Person"),
        required=False,
        widget=AutocompleteSelect(ApiToken._meta.get_field("user"), admin.site),
    )
    group = ModelChoiceField(Group.objects.order_by("name"), label=_("Group"), required=False)
    token = ModelChoiceField(
        ApiToken.objects.filter(revoked_at__isnull=True).order_by("name"), label=_("API token"), required=False
    )
    amount = IntegerField(label=_("Amount"), min_value=0, max_value=2**63 - 1)

    class Meta:
        model = QuotaLimit
        fields = ("subject_kind", "model_key", "amount", "unit", "window", "time_zone")
        labels = {
            "subject_kind": _("Applies to"),
            "model_key": _("Model (empty: all)"),
            "unit": _("Unit"),
            "window": _("Per"),
            "time_zone": _("Time zone"),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Nothing measures what a token costs in GPU time yet, so such a limit would never be reached.
        units = [choice for choice in QuotaLimit.Unit.choices if choice[0] != QuotaLimit.Unit.GPU_MS]
        self.fields["unit"].choices = units  # type: ignore[attr-defined]
        self.initial.setdefault(self.instance.subject_kind, self.instance.subject_id)

    def clean(self) -> Any:
        cleaned: dict[str, Any] = super().clean() or {}
        kind = cleaned.get("subject_kind")
        for name in ("user", "group", "token"):
            if name in cleaned and (cleaned[name] is not None) != (name == kind):
                self.add_error(name, _("Choose what the limit applies to, and nothing else."))
        chosen = cleaned.get(kind) if kind else None
        self.instance.subject_id = chosen.pk if chosen else None
        return cleaned


# Not in the model's Meta: a name that only this admin shows is no reason for a migration.
QuotaLimit._meta.verbose_name = _("quota limit")
QuotaLimit._meta.verbose_name_plural = _("quota limits")


@admin.register(QuotaLimit)
class QuotaLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = QuotaLimitForm
    fields = ("subject_kind", "user", "group", "token", "model_key", "amount", "unit", "window", "time_zone")
    list_display = ("__str__", "subject", "model_key")
    search_fields = ("subject_name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuotaLimit]:
        rows: QuerySet[QuotaLimit] = super().get_queryset(request)
        names = {"user": (User, "username"), "group": (Group, "name"), "token": (ApiToken, "name")}
        cases = [
            When(subject_kind=kind, then=Subquery(model.objects.filter(pk=OuterRef("subject_id")).values(name)[:1]))  # type: ignore[attr-defined]
            for kind, (model, name) in names.items()
        ]
        return rows.annotate(subject_name=Case(*cases, output_field=CharField()))

    @admin.display(description=_("Applies to"), ordering="subject_name")
    def subject(self, limit: QuotaLimit) -> str:
        name = limit.subject_name  # type: ignore[attr-defined]
        return f"{limit.get_subject_kind_display()} {name or ''}".strip()


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
