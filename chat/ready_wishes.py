"""'Tell me when it is ready': one wish per person and model, told once the model is warm.

A wish that is told stays as a line on the person's pages until he dismisses it or the model goes cold again; then it
waits anew.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from django.db import transaction
from django.db.models.functions import Now

from accounts import rights
from accounts.models import User
from chat import bells
from chat.models import ReadyWish
from live import doorbell
from models_admin.engines import access, fleet
from models_admin.models import CatalogueModel

MOST = 10
READY = "ready"  # what the doorbell says


class NotOffered(Exception):
    """No model that this person may ask for."""


class TooMany(Exception):
    """The person waits for `MOST` models already."""


@dataclass(frozen=True)
class Ready:
    """A model that somebody wished for and that is warm, and where."""

    key: str
    name: str
    place: str


def wish(user: User, model_key: str) -> None:
    """Remember it; what is warm already is told at once. Raises NotOffered, TooMany."""
    is_cloud_shut = fleet.is_cloud(model_key) and not rights.may_use_cloud(user)
    if not fleet.is_offered(model_key) or not access.of(user, model_key).asks(model_key) or is_cloud_shut:
        raise NotOffered
    with transaction.atomic():
        User.objects.select_for_update().get(pk=user.pk)  # two tabs at once do not pass the cap together
        mine = ReadyWish.objects.filter(user=user)
        if mine.exclude(model_key=model_key).count() >= MOST:
            raise TooMany
        ReadyWish.objects.update_or_create(user=user, model_key=model_key, defaults={"told_at": None})
        _ring([user.pk])
    tell(model_key)


def forget(user: User, model_key: str) -> None:
    """He does not wait for it any more, or has read that it is ready."""
    if ReadyWish.objects.filter(user=user, model_key=model_key).delete()[0]:
        _ring([user.pk])


def wished_by(user: User) -> frozenset[str]:
    """Keys of the models that he will be told of."""
    return frozenset(ReadyWish.objects.filter(user=user, told_at=None).values_list("model_key", flat=True))


def ready_for(user: User) -> list[Ready]:
    """What he was told of and has not dismissed, the newest first."""
    told = ReadyWish.objects.filter(user=user, told_at__isnull=False).order_by("-told_at", "pk")
    keys = list(told.values_list("model_key", flat=True))
    names = dict(CatalogueModel.objects.filter(key__in=keys, is_visible=True).values_list("key", "name"))
    may = access.of(user)
    return [Ready(key, names[key], place) for key in keys if key in names and may.asks(key) and (place := _place(key))]


def tell(model_key: str) -> int:
    """Tell everybody who waits for it, where it is warm; how many were told."""
    if not fleet.warm_deployments(model_key):
        return 0
    with transaction.atomic():
        waiting = ReadyWish.objects.select_for_update().filter(model_key=model_key, told_at=None)
        people = dict(waiting.values_list("pk", "user_id"))
        told = ReadyWish.objects.filter(pk__in=people, told_at=None).update(told_at=Now())
        _ring(people.values())
    return told


def tell_ready() -> None:
    """The same for all that is warm, whoever forgot to say so; what went cold before it was read waits again."""
    rows = ReadyWish.objects.values_list("model_key", "told_at")
    waited, told = ({key for key, at in rows if (at is None) == is_waited} for is_waited in (True, False))
    for key in sorted(waited):
        tell(key)
    for key in sorted(key for key in told if not fleet.warm_deployments(key)):
        people = list(ReadyWish.objects.filter(model_key=key, told_at__isnull=False).values_list("user_id", flat=True))
        ReadyWish.objects.filter(model_key=key, told_at__isnull=False).update(told_at=None)
        _ring(people)


def _place(model_key: str) -> str:
    warm = fleet.warm_deployments(model_key)
    return fleet.place_of(warm[0].engine) if warm else ""


def _ring(people: Iterable[int]) -> None:
    rung = [bells.user(user_id, READY) for user_id in dict.fromkeys(people)]
    if rung:
        transaction.on_commit(partial(doorbell.ring, *rung))
