"""Who would have nothing left of a limit, in sentences for whoever is about to set it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import quota_words
from accounts.models import QuotaLimit
from accounts.quota_so_far import Used

MOST = 20


@dataclass(frozen=True)
class OverWords:
    """`people`: who, and 'used of allowed'; the furthest first, and `more` that are not named."""

    sentence: str
    people: tuple[tuple[str, str], ...] = ()
    more: int = 0

    @classmethod
    def of(cls, limit: QuotaLimit, over: Sequence[Used]) -> OverWords:
        return cls(
            _sentence(limit, over),
            tuple((each.person.get_username(), _used(limit, each)) for each in over[:MOST] if each.person),
            max(0, len(over) - MOST),
        )


def _sentence(limit: QuotaLimit, over: Sequence[Used]) -> str:
    if limit.is_grant:
        return _("A grant takes nothing from anybody.")
    name = quota_words.name(limit)
    if limit.unit == QuotaLimit.Unit.RUNNING:
        return _("{name}: what is open now goes on; the next question meets the limit.").format(name=name)
    if not over:
        return _("{name}, up to {amount}: nobody is at the limit now.").format(name=name, amount=_all(limit))
    if over[0].person is None:
        told = _("{name}: {used} are used by all together, so nothing would be left for anybody until it begins anew.")
        return told.format(name=name, used=_used(limit, over[0]))
    told = ngettext(
        "{name}, up to {amount}: one person would have nothing left until it begins anew.",
        "{name}, up to {amount}: {n} people would have nothing left until it begins anew.",
        len(over),
    )
    return told.format(name=name, amount=_all(limit), n=len(over))


def _all(limit: QuotaLimit) -> str:
    return quota_words.amount(limit, limit.amount)


def _used(limit: QuotaLimit, used: Used) -> str:
    about = {"used": quota_words.amount(limit, used.used), "all": quota_words.amount(limit, used.allowed)}
    return _("{used} of {all}").format(**about)
