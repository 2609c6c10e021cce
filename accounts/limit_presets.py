"""Limits for everybody in one choice: how many tokens a person may have written for him in a day."""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from accounts.models import QuotaLimit

# An answer of R1 with its thought is some 2,000 to 5,000 tokens.
TOKENS_OF_TEAM = 200_000
TOKENS_OF_CLASS = 60_000


@dataclass(frozen=True)
class Preset:
    """`tokens` a day for each person; None = no limit."""

    name: str
    tokens: int | None


PRESETS = (Preset("few", None), Preset("team", TOKENS_OF_TEAM), Preset("class", TOKENS_OF_CLASS))


def find(name: str) -> Preset | None:
    return next((preset for preset in PRESETS if preset.name == name), None)


@transaction.atomic
def apply(preset: Preset, *, time_zone: str) -> None:
    """Puts it in place of the daily limit that everybody had before; all other limits stay."""
    rows = QuotaLimit.objects.select_for_update().filter(**_EVERYBODY).order_by("pk")
    if preset.tokens is None:
        rows.delete()
    elif row := rows.first():
        row.amount = preset.tokens
        row.save(update_fields=["amount"])
        rows.exclude(pk=row.pk).delete()
    else:
        QuotaLimit.objects.create(**_EVERYBODY, amount=preset.tokens, time_zone=time_zone)


_EVERYBODY = {
    "subject_kind": QuotaLimit.SubjectKind.EVERYONE,
    "model_key": "",
    "unit": QuotaLimit.Unit.OUTPUT_TOKENS,
    "window": QuotaLimit.Window.DAY,
}
