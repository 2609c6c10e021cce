"""A person's limits as cards: how much is gone, how much is left, and when it is full again."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from accounts import quota_standing, quota_times, quota_words
from accounts.models import QuotaLimit, User
from accounts.quota_standing import Standing

Unit, Window = QuotaLimit.Unit, QuotaLimit.Window


@dataclass(frozen=True)
class Card:
    """Amounts in the limit's unit; `high` is where a warning begins."""

    name: str
    subject: str
    used: str
    allowed: str
    left: str
    value: int
    most: int
    high: int


def cards(user: User) -> list[Card]:
    """Of the limits for all models, the fullest first; `running` is no amount that is used up."""
    standings = [each for each in quota_standing.read(user, None, "") if each.limit.unit != Unit.RUNNING]
    return [_card(each) for each in sorted(standings, key=lambda each: each.left / max(1, each.allowed))]


def day_limit(user: User, unit: str) -> int | None:
    """The smallest of his own for a day, in the unit of the tables."""
    limits = [
        each.allowed
        for each in quota_standing.read(user, None, "")
        if (each.limit.unit, each.limit.window) == (unit, Window.DAY) and _is_own(each)
    ]
    return min(limits, default=None)


def _is_own(standing: Standing) -> bool:
    """He alone counts in it: others cannot use it up."""
    return bool(standing.rule.holder_id) or standing.limit.subject_kind == QuotaLimit.SubjectKind.USER


def _card(standing: Standing) -> Card:
    limit = standing.limit
    left = {
        "left": quota_words.amount(limit, standing.left),
        "when": quota_times.at(standing.resets_at) if standing.resets_at else "",
    }
    return Card(
        name=quota_words.name(limit),
        subject="" if _is_own(standing) else _("all together"),
        used=quota_words.amount(limit, standing.taken),
        allowed=quota_words.amount(limit, standing.allowed),
        left=_("%(left)s left, full again %(when)s") % left,
        value=min(standing.taken, standing.allowed),
        most=standing.allowed,
        high=int(standing.allowed * quota_standing.WARN_FROM),
    )
