"""Limits in people's words: what they are called, how much is left, in units that people know."""

from __future__ import annotations

from django.utils import formats
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import quota_units
from accounts.models import QuotaLimit

Unit, Window, Kind = QuotaLimit.Unit, QuotaLimit.Window, QuotaLimit.SubjectKind


def name(limit: QuotaLimit) -> str:
    """'GPU time today'."""
    if limit.unit == Unit.RUNNING:
        return _("Answers at once")
    names = {
        Unit.GPU_MS: (_("GPU time this hour"), _("GPU time today"), _("GPU time this week"), _("GPU time this month")),
        Unit.OUTPUT_TOKENS: (_("Tokens this hour"), _("Tokens today"), _("Tokens this week"), _("Tokens this month")),
        Unit.REQUESTS: (
            _("Questions this hour"), _("Questions today"), _("Questions this week"), _("Questions this month"),
        ),
        Unit.COST_MICRO: (
            _("Cloud money this hour"), _("Cloud money today"), _("Cloud money this week"), _("Cloud money this month"),
        ),
    }  # fmt: skip
    return names[Unit(limit.unit)][Window.values.index(limit.window)]


def amount(limit: QuotaLimit, count: int) -> str:
    """'600 s': GPU seconds, tokens and questions whole, money to the cent."""
    unit = limit.unit
    places = 2 if unit == Unit.COST_MICRO else 0
    shown = round(quota_units.for_people(unit, count), places)
    number = formats.number_format(shown, decimal_pos=places, use_l10n=True, force_grouping=True)
    return _("{n} s").format(n=number) if unit == Unit.GPU_MS else number


def with_unit(limit: QuotaLimit, count: int) -> str:
    """'600 GPU seconds', where no name stands beside it."""
    number = amount(limit, count)
    if limit.unit == Unit.GPU_MS:
        return _("{n} of GPU time").format(n=number)
    shown = int(quota_units.for_people(limit.unit, count))
    words = {
        Unit.OUTPUT_TOKENS: ngettext("{n} token", "{n} tokens", shown),
        Unit.REQUESTS: ngettext("{n} question", "{n} questions", shown),
        Unit.COST_MICRO: _("{n} of cloud money"),
        Unit.RUNNING: ngettext("{n} answer at once", "{n} answers at once", shown),
    }
    return words[Unit(limit.unit)].format(n=number)


def subject(limit: QuotaLimit, subject_name: str) -> str:
    """'user ann', 'group lab, each person for himself'."""
    told = f"{limit.get_subject_kind_display()} {subject_name}".strip()
    if limit.is_grant or limit.subject_kind not in (Kind.GROUP, Kind.EVERYONE):
        return told
    return (_("{subject}, each for himself") if limit.is_each else _("{subject}, all together")).format(subject=told)
