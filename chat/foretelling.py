"""What the next question will take, told before it is sent: of the box, of the person's limit, and of his time."""

from __future__ import annotations

import math
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from django.utils import formats
from django.utils.translation import gettext as _

from accounts import quota_standing, quota_words
from accounts.models import QuotaLimit, User
from accounts.quota_standing import Standing
from chat import bells, estimating, history, places
from chat.bells import Place
from chat.estimating import Estimate
from chat.picker import sentences
from models_admin.engines import access

Unit = QuotaLimit.Unit
CENT_MICRO: Final = 10_000


@dataclass(frozen=True)
class Draft:
    """A question that is being written; `tokens` as counted without an engine."""

    model_key: str
    think: str = "auto"
    tokens: int = 0
    conversation: uuid.UUID | None = None


@dataclass(frozen=True)
class Foretold:
    """In words, '' where there is nothing to tell; `is_short`: a limit has too little left for it."""

    words: str = ""
    is_short: bool = False


def foretold(user: User, draft: Draft) -> Foretold:
    """Empty where there is no such model for this person."""
    if access.why_not(user, draft.model_key) in (access.NO_MODEL, access.MAY_NOT_ASK):
        return Foretold()
    tokens = draft.tokens + estimating.read_before(_own(user, draft.conversation))
    found = estimating.estimate(user, draft.model_key, think=draft.think, prompt_tokens=tokens)
    standings = quota_standing.read(user, None, draft.model_key)
    counted = (each for each in standings if each.left and not each.is_counted_now)
    short = next((each.limit for each in counted if not each.fits(found.amounts.of(each.limit.unit))), None)
    wait = _wait(places.place_of_newcomer(draft.model_key))
    return Foretold(sentences(_cost(found, standings), _short(short), wait), is_short=short is not None)


def _short(limit: QuotaLimit | None) -> str:
    return _("More than is left of “%(name)s”.") % {"name": quota_words.name(limit)} if limit else ""


def _cost(found: Estimate, standings: Sequence[Standing]) -> str:
    if found.gpu_ms == 0 and found.cost_micro == 0:
        return ""
    unit = Unit.COST_MICRO if found.cost_micro else Unit.GPU_MS
    left = _left([each for each in standings if each.limit.unit == unit])
    return _money(found, left) if unit == Unit.COST_MICRO else _gpu(found, left)


def _own(user: User, conversation_id: uuid.UUID | None) -> uuid.UUID | None:
    """Another's conversation says nothing of its length."""
    is_own = conversation_id is not None and history.for_user(user).filter(pk=conversation_id).exists()
    return conversation_id if is_own else None


def _left(standings: Sequence[Standing]) -> int | None:
    """Of the limit of which the least is left; None where there is none."""
    return min((each.left for each in standings), default=None)


def _gpu(found: Estimate, left: int | None) -> str:
    about = {"needs": _count(max(1, round(found.gpu_ms / 1000))), "left": _count((left or 0) // 1000)}
    if not left:
        return _("Takes about %(needs)s GPU s.") % about
    return _("Takes about %(needs)s of your %(left)s GPU s.") % about


def _money(found: Estimate, left: int | None) -> str:
    needs = math.ceil(found.cost_micro / CENT_MICRO) / 100
    about = {"needs": _amount(needs), "left": _amount((left or 0) / 1e6), "currency": found.currency}
    if not left:
        return _("Costs at most about %(needs)s %(currency)s.") % about
    return _("Costs at most about %(needs)s of your %(left)s %(currency)s.") % about


def _wait(place: Place | None) -> str:
    """Where somebody who asks now would stand; what is free begins at once and needs no words."""
    seconds = bells.seconds_until(place.high) if place and place.ahead else None
    if place is None or seconds is None:
        return ""
    about = {"count": place.ahead, "seconds": max(1, seconds)}
    about["minutes"] = -(-about["seconds"] // 60)
    if about["seconds"] < 120:
        return _("%(count)d ahead of you: begins within %(seconds)d s.") % about
    return _("%(count)d ahead of you: begins within %(minutes)d min.") % about


def _count(number: int) -> str:
    return formats.number_format(number, force_grouping=True)


def _amount(number: float) -> str:
    return formats.number_format(number, decimal_pos=2, force_grouping=True)
