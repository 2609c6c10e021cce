"""Prices of clouds, for admins: rows with a time and a part of the day, in millionths per million tokens."""

from __future__ import annotations

from django import forms
from django.contrib import admin
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


@admin.register(PriceRow)
class PriceRowAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = PriceForm
    list_display = ("model_name", "tier", "valid_from", "valid_to", "currency", "cached", "prompt", "output")
    list_filter = ("engine_kind", "model_name", "tier")
    ordering = ("model_name", "-valid_from", "tier")

    @admin.display(description=_("Prompt from the cache"))
    def cached(self, row: PriceRow) -> str:
        return _amount(row.cached_micro)

    @admin.display(description=_("Prompt"))
    def prompt(self, row: PriceRow) -> str:
        return _amount(row.prompt_micro)

    @admin.display(description=_("Output"))
    def output(self, row: PriceRow) -> str:
        return _amount(row.output_micro)


def _amount(micro: int) -> str:
    return f"{micro / 1_000_000:.6f}".rstrip("0").rstrip(".")
