"""Prices of clouds, for admins: rows with a time and a part of the day, amounts of money for a million tokens."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_admin.models import PriceRow

MICRO = 1_000_000
# What a begun row shows in the place of the fields that nobody may change any more.
SHOWN = {"cached_micro": "cached", "prompt_micro": "prompt", "output_micro": "output"}


class MoneyField(forms.DecimalField):
    """Typed in units of money, kept in millionths."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=0, max_digits=18, decimal_places=6, **more)

    def prepare_value(self, value: Any) -> Any:
        return _amount(value) if isinstance(value, int) else value

    def clean(self, value: Any) -> Any:
        typed = super().clean(value)
        return int(typed * MICRO) if isinstance(typed, Decimal) else typed

    def has_changed(self, initial: Any, data: Any) -> bool:
        return super().has_changed(self.prepare_value(initial), data)


class PriceForm(forms.ModelForm):  # type: ignore[type-arg]
    cached_micro = MoneyField(
        label=_("Prompt from the cache"),
        help_text=_("For a million tokens, in the currency above, such as 0.003."),
    )
    prompt_micro = MoneyField(label=_("Prompt"), help_text=_("For a million tokens."))
    output_micro = MoneyField(label=_("Output"), help_text=_("For a million tokens. Thinking is output."))

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
        if not _has_begun(obj):
            return []
        return [*(name for name in PriceForm.Meta.fields if name != "valid_to"), *SHOWN.values()]

    def get_fieldsets(self, request: HttpRequest, obj: PriceRow | None = None) -> Any:
        told = _("It has begun, and answers are charged by it: only its end can be set. For another price add a row.")
        if not _has_begun(obj):
            return [(None, {"fields": PriceForm.Meta.fields})]
        return [(None, {"fields": [SHOWN.get(name, name) for name in PriceForm.Meta.fields], "description": told})]

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
    """Whole and exact: 0.003, 2."""
    return f"{Decimal(micro).scaleb(-6):.6f}".rstrip("0").rstrip(".")
