"""A person's limits as cards: how much is gone, how much is left, and when it is full again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _

from accounts import quota_standing, quota_words
from accounts.models import QuotaLimit, User
from accounts.quota_standing import Standing

Unit, Window = QuotaLimit.Unit, QuotaLimit.Window
WARN_AT = 0.8


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
    """Of the limits for all models; `running` is no amount that is used up."""
    standings = quota_standing.read(user, None, "")
    return [_card(each) for each in standings if each.limit.unit != Unit.RUNNING]


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
    left = {"left": quota_words.amount(limit, standing.left), "when": _until(standing.resets_at)}
    return Card(
        name=quota_words.name(limit),
        subject="" if _is_own(standing) else _("all together"),
        used=quota_words.amount(limit, standing.taken),
        allowed=quota_words.amount(limit, standing.allowed),
        left=_("%(left)s left, full again %(when)s") % left,
        value=min(standing.taken, standing.allowed),
        most=standing.allowed,
        high=int(standing.allowed * WARN_AT),
    )


def _until(moment: datetime | None) -> str:
    """Of the reader's clock: at 18:00, on Monday, on 1 December."""
    if moment is None:
        return ""
    local = timezone.localtime(moment)
    ahead = local.date() - timezone.localtime().date()
    if ahead < timedelta(days=1):
        return _("at %(time)s") % {"time": f"{local:%H:%M}"}
    if ahead < timedelta(days=2):
        return _("tomorrow at %(time)s") % {"time": f"{local:%H:%M}"}
    return _("on %(day)s") % {"day": date_format(local, "l" if ahead < timedelta(days=7) else "MONTH_DAY_FORMAT")}
