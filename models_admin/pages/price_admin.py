"""Prices of clouds, for admins: rows with a time and a part of the day, in millionths per million tokens."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_admin.models import PriceRow


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    class Meta:
        model = PriceRow
        fields = (
            "engine_kind", "model_name", "valid_from", "valid_to", "tier", "currency",
            "cached_micro", "prompt_micro", "output_micro",
        )  # fmt: skip
        help_texts = {
            "model_name": _("As the cloud calls it; its list is at the engine."),
            "valid_to": _("Empty: until a newer row begins."),
            "tier": _("Peak: Monday to Friday 01:00–04:00 and 06:00–10:00 UTC."),
            "cached_micro": _("Millionths for a million tokens: 0.003 USD is 3000."),
            "output_micro": _("Thinking is output."),
        }

    def clean(self) -> None:
        super().clean()
        begin, end = self.cleaned_data.get("valid_from"), self.cleaned_data.get("valid_to")
        if begin and end and end <= begin:
            self.add_error("valid_to", _("It ends before it begins."))
        if "valid_to" in self.changed_data and end and end < timezone.now() and _has_begun(self.instance):
            self.add_error("valid_to", _("Answers until now were charged by it: it cannot end before."))


@admin.register(PriceRow)
class PriceRowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PriceForm
    list_display = ("model_name", "tier", "valid_from", "valid_to", "currency", "cached", "prompt", "output")
    list_filter = ("engine_kind", "model_name", "tier")
    ordering = ("model_name", "-valid_from", "tier")

    def get_readonly_fields(self, request: HttpRequest, obj: PriceRow | None = None) -> list[str]:
        """Nobody rewrites by what answers were charged: a new price is a new row."""
        return [name for name in PriceForm.Meta.fields if name != "valid_to"] if _has_begun(obj) else []

    def get_fieldsets(self, request: HttpRequest, obj: PriceRow | None = None) -> Any:
        told = _("It has begun, and answers are charged by it: only its end can be set. For another price add a row.")
        return [(None, {"fields": PriceForm.Meta.fields, "description": told if _has_begun(obj) else ""})]

    def has_delete_permission(self, request: HttpRequest, obj: PriceRow | None = None) -> bool:
        return not _has_begun(obj) and super().has_delete_permission(request, obj)

    @admin.display(description=_("Prompt from the cache"))
    def cached(self, row: PriceRow) -> str:
        return _amount(row.cached_micro)

    @admin.display(description=_("Prompt"))
    def prompt(self, row: PriceRow) -> str:
        return _amount(row.prompt_micro)

    @admin.display(description=_("Output"))
    def output(self, row: PriceRow) -> str:
        return _amount(row.output_micro)


def _has_begun(row: PriceRow | None) -> bool:
    return row is not None and not row._state.adding and row.valid_from <= timezone.now()


def _amount(micro: int) -> str:
    return f"{micro / 1_000_000:.6f}".rstrip("0").rstrip(".")
