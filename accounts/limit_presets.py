"""Limits for everybody in one choice: GPU seconds a day and requests an hour, for each person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db import transaction

from accounts import quota_limits
from accounts.models import QuotaLimit

Unit, Window = QuotaLimit.Unit, QuotaLimit.Window
# A card at work gives 3,600 GPU s an hour to all its answers together. If everybody uses all of his day, ten people
# fill ten hours of one card with an hour each, and thirty people five hours, a school day, with ten minutes each.
# An answer of R1 32B with its thought, 3,000 tokens, takes some 12 GPU s of a card that gives eight of them 30
# tokens/s each: 300 answers a day in a team, 50 in a class.
GPU_SECONDS_OF_TEAM = 3_600
GPU_SECONDS_OF_CLASS = 600
# Nobody reads an answer a minute for an hour; in a team some ask by scripts too. It stops a script that has gone wild.
REQUESTS_OF_TEAM = 120
REQUESTS_OF_CLASS = 60


@dataclass(frozen=True)
class Preset:
    """What each person may have: GPU seconds a day and requests an hour; None = no limit."""

    name: str
    gpu_seconds: int | None = None
    requests: int | None = None


PRESETS = (
    Preset("few"),
    Preset("team", GPU_SECONDS_OF_TEAM, REQUESTS_OF_TEAM),
    Preset("class", GPU_SECONDS_OF_CLASS, REQUESTS_OF_CLASS),
)
# The last one was set by earlier versions.
_PLACES = ((Unit.GPU_MS, Window.DAY), (Unit.REQUESTS, Window.HOUR), (Unit.OUTPUT_TOKENS, Window.DAY))


def find(name: str) -> Preset | None:
    return next((preset for preset in PRESETS if preset.name == name), None)


def limits(preset: Preset, *, time_zone: str) -> Sequence[QuotaLimit]:
    """The limits that it stands for, not saved."""
    amounts = (preset.gpu_seconds and preset.gpu_seconds * 1000, preset.requests)
    return [
        QuotaLimit(**_EVERYBODY, unit=unit, window=window, time_zone=time_zone, amount=amount)
        for amount, (unit, window) in zip(amounts, _PLACES, strict=False)
        if amount is not None
    ]


@transaction.atomic
def apply(preset: Preset, *, time_zone: str) -> None:
    """Puts it in place of the preset that was there before; all other limits stay."""
    wanted = {(each.unit, each.window): each for each in limits(preset, time_zone=time_zone)}
    for unit, window in _PLACES:
        rows = QuotaLimit.objects.select_for_update().filter(**_EVERYBODY, unit=unit, window=window).order_by("pk")
        limit, kept = wanted.get((unit, window)), rows.first()
        if limit is None:
            rows.delete()
        else:
            # The same row goes on, so that nobody begins his day anew.
            limit.pk, limit.time_zone = (kept.pk, kept.time_zone) if kept else (None, time_zone)
            quota_limits.save(limit)
            rows.exclude(pk=limit.pk).delete()


_EVERYBODY = {"subject_kind": QuotaLimit.SubjectKind.EVERYONE, "model_key": "", "is_each": True, "is_grant": False}
