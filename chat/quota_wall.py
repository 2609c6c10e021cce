"""What the chat page says about a person's limits: a warning in time, and at the wall what is left and what works."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from urllib.parse import urlencode

from django.urls import reverse

from accounts import quota_requests, quota_standing
from accounts.models import QuotaLimit, QuotaRequest, User
from accounts.quota import Amounts
from accounts.quota_standing import Standing
from chat import estimating, history, picker, quota_wall_words
from models_admin.models import CatalogueModel, Deployment, PriceRow

MOST_WAYS = 2


@dataclass(frozen=True)
class Refused:
    """A wish that was refused: the limit, and what it takes of its unit."""

    limit_id: int
    needs: int


@dataclass(frozen=True)
class Limit:
    """One of his limits as drawn; `value` of `most` is gone."""

    name: str
    told: str
    left: str
    value: int
    most: int
    is_hit: bool


@dataclass(frozen=True)
class Way:
    """A warm model that all limits let answer now."""

    key: str
    name: str


@dataclass(frozen=True)
class Wall:
    """Why nothing is sent to this model now. `asked`: an admin has his request already.

    Where a price lacks more of a limit would not help; `price_address` is where an admin adds it.
    """

    limit_id: int
    title: str
    reset: str
    why: str
    resets_at: datetime | None
    limits: tuple[Limit, ...]
    ways: tuple[Way, ...]
    note: str
    asked: str
    lacks_price: bool = False
    price_address: str = ""


@dataclass(frozen=True)
class Answer:
    """What an admin answered to a request for more; `why` in his own words, or ''."""

    id: int
    sentence: str
    is_granted: bool
    why: str


@dataclass(frozen=True)
class View:
    wall: Wall | None
    warning: str
    answers: tuple[Answer, ...]


def view(
    user: User, model_key: str, *, conversation_id: uuid.UUID | None = None, refused: Refused | None = None
) -> View:  # fmt: skip
    """For this model in this conversation; `refused` is what was just tried."""
    told = quota_requests.told(user)
    amounts = _amounts(user, model_key)
    standings = [each for each in quota_standing.read(user, None, model_key) if amounts.touches(each.limit.unit)]
    unpriced = next((each for each in standings if not _is_counted(each, amounts)), None)
    hit = unpriced or _hit(standings, refused)
    if hit is not None:
        wall = _wall(user, model_key, hit, standings, refused, told, _may_leave(user, conversation_id))
        return View(_without_price(user, model_key, hit, wall) if unpriced else wall, "", _answers(told))
    near = max(standings, key=_share, default=None)
    is_near = near is not None and not near.is_counted_now and _share(near) >= quota_standing.WARN_FROM
    return View(None, quota_wall_words.warning(near, _currency()) if near and is_near else "", _answers(told))


def _amounts(user: User, model_key: str) -> Amounts:
    """What an ordinary question takes of this model."""
    return estimating.estimate(user, model_key, think="auto", prompt_tokens=0).amounts


def _is_counted(standing: Standing, amounts: Amounts) -> bool:
    """Money that nobody knows the amount of uses no limit up."""
    return amounts.is_priced or standing.limit.unit != QuotaLimit.Unit.COST_MICRO


def _lets(standing: Standing, amounts: Amounts) -> bool:
    unit = standing.limit.unit
    return not amounts.touches(unit) or (_is_counted(standing, amounts) and standing.fits(amounts.of(unit)))


def _hit(standings: Sequence[Standing], refused: Refused | None) -> Standing | None:
    """The limit that he stands at: of several the one that resets last. What is open now ends by itself."""
    full = [
        each for each in standings
        if (refused and each.limit.pk == refused.limit_id and not each.fits(refused.needs))
        or (each.left == 0 and not each.is_counted_now)
    ]  # fmt: skip
    return max(full, key=lambda each: each.rule.end if each.resets_at else each.rule.start, default=None)


def _wall(
    user: User,
    model_key: str,
    hit: Standing,
    standings: Sequence[Standing],
    refused: Refused | None,
    told: Sequence[QuotaRequest],
    may_leave: bool,
) -> Wall:
    needs = refused.needs if refused and refused.limit_id == hit.limit.pk else None
    ways, currency = _ways(user, model_key, may_leave), _currency()
    is_asked = any(row.limit_id == hit.limit.pk and row.state == QuotaRequest.State.OPEN for row in told)
    names = dict(CatalogueModel.objects.values_list("key", "name"))
    return Wall(
        limit_id=hit.limit.pk,
        title=quota_wall_words.title(hit, needs),
        reset=quota_wall_words.reset(hit, needs),
        why=quota_wall_words.why(hit, needs, currency),
        resets_at=hit.resets_at,
        limits=tuple(_limit(each, hit, names, currency) for each in sorted(standings, key=lambda each: each != hit)),
        ways=ways,
        note=quota_wall_words.note([way.name for way in ways]),
        asked=quota_wall_words.asked() if is_asked else "",
    )


def _without_price(user: User, model_key: str, hit: Standing, wall: Wall) -> Wall:
    address = ""
    if user.has_perm("models_admin.add_pricerow"):
        row = Deployment.objects.filter(artifact__model__key=model_key, engine__is_cloud=True)
        names = row.values_list("engine__kind", "artifact__ref").first() or ("", "")
        query = urlencode({"engine_kind": names[0], "model_name": names[1]})
        address = f"{reverse('admin:models_admin_pricerow_add')}?{query}"
    return replace(
        wall,
        title=quota_wall_words.no_price(),
        reset="",
        why=quota_wall_words.why_no_price(hit, is_admin=bool(address)),
        resets_at=None,
        lacks_price=True,
        price_address=address,
    )


def _limit(standing: Standing, hit: Standing, names: dict[str, str], currency: str) -> Limit:
    return Limit(
        name=quota_wall_words.name(standing, names),
        told=quota_wall_words.told(standing, currency),
        left=quota_wall_words.left(standing, currency),
        value=min(standing.taken, standing.allowed),
        most=max(standing.allowed, 1),
        is_hit=standing == hit or standing.left == 0,
    )


def _ways(user: User, model_key: str, may_leave: bool) -> tuple[Way, ...]:
    found = []
    for model in picker.models(user):
        if model.look == "warm" and model.may_ask and model.key != model_key and (may_leave or not model.is_cloud):
            amounts = _amounts(user, model.key)
            standings = quota_standing.read(user, None, model.key)
            if all(_lets(each, amounts) for each in standings):
                found.append(Way(model.key, model.name))
    return tuple(found[:MOST_WAYS])


def _may_leave(user: User, conversation_id: uuid.UUID | None) -> bool:
    """Whether the conversation may be sent to a cloud."""
    if conversation_id is None:
        return True
    try:
        return not history.conversation(user, conversation_id).is_local_only
    except history.NotFound:
        return False


def _answers(told: Sequence[QuotaRequest]) -> tuple[Answer, ...]:
    closed = [row for row in told if row.state != QuotaRequest.State.OPEN]
    return tuple(
        Answer(row.pk, quota_wall_words.answer(row, _currency()), row.state == QuotaRequest.State.GRANTED, row.answer)
        for row in closed
    )


def _share(standing: Standing) -> float:
    return standing.taken / standing.allowed if standing.allowed else 1.0


def _currency() -> str:
    """Of the price list; '' where there is none."""
    return PriceRow.objects.order_by("-valid_from").values_list("currency", flat=True).first() or ""
