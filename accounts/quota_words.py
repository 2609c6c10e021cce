"""Limits in people's words: what they are called, how much is left, in units that people know."""

from __future__ import annotations

from django.utils import formats
from django.utils.translation import get_language
from django.utils.translation import gettext as _

from accounts import quota_units
from accounts.models import QuotaLimit

# Chinese counts in them.
TEN_THOUSAND = 10_000
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


def number(limit: QuotaLimit, count: int) -> str:
    """GPU seconds, tokens and questions whole, money to the cent."""
    if limit.unit == Unit.OUTPUT_TOKENS and count >= TEN_THOUSAND and (get_language() or "").startswith("zh"):
        return f"{count / TEN_THOUSAND:.4g} 万"
    places = 2 if limit.unit == Unit.COST_MICRO else 0
    shown = round(quota_units.for_people(limit.unit, count), places)
    return formats.number_format(shown, decimal_pos=places, use_l10n=True, force_grouping=True)


def amount(limit: QuotaLimit, count: int) -> str:
    """'600 s'; the name beside it says what is counted."""
    told = number(limit, count)
    return _("{n} s").format(n=told) if limit.unit == Unit.GPU_MS else told


def subject(limit: QuotaLimit, subject_name: str) -> str:
    """'user ann', 'group lab, each person for himself'."""
    told = f"{limit.get_subject_kind_display()} {subject_name}".strip()
    if limit.is_grant or limit.subject_kind not in (Kind.GROUP, Kind.EVERYONE):
        return told
    return (_("{subject}, each for himself") if limit.is_each else _("{subject}, all together")).format(subject=told)
