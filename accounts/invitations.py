"""Links by which people sign up by themselves: so many of them, for so many days, into one group."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Group, Invitation, User
from accounts.tokens import digest_of

PEOPLE = 20
DAYS = 7
MOST_PEOPLE = 1_000
MOST_DAYS = 365


class NameTaken(Exception):
    """Somebody has the wished user name; the invitation lost nobody's place."""


@dataclass(frozen=True)
class Made:
    """`path` is the link on this site; it holds the secret and cannot be read again later."""

    invitation: Invitation
    path: str


def make(*, by: str, group: Group | None = None, people: int = PEOPLE, days: int = DAYS) -> Made:
    """A new link; `by` is a user name. Raises ValueError for numbers outside 1 to `MOST_PEOPLE` and `MOST_DAYS`."""
    if not (1 <= people <= MOST_PEOPLE and 1 <= days <= MOST_DAYS):
        raise ValueError(f"{people} people, {days} days")
    token = secrets.token_urlsafe(32)
    made = Invitation.objects.create(
        digest=digest_of(token),
        group=group,
        uses_left=people,
        expires_at=timezone.now() + timedelta(days=days),
        made_by=by,
    )
    return Made(made, f"/join/{token}/")


def still_open() -> QuerySet[Invitation]:
    """Those by which somebody may sign up now, the newest first."""
    return Invitation.objects.filter(_is_open()).order_by("-pk")


def find(token: str) -> Invitation | None:
    """None where the link is unknown, used up or expired."""
    return still_open().filter(digest=digest_of(token)).select_related("group").first()


def accept(token: str, *, username: str, password: str) -> User | None:
    """The new person; None where the link no longer works. Of many for the last place one gets it. Raises NameTaken."""
    person = User(username=username)
    # Hashed beforehand: it is slow on purpose, and the database's write lock must not wait for it.
    person.set_password(password)
    try:
        with transaction.atomic():
            places = Invitation.objects.filter(_is_open(), digest=digest_of(token))
            if not places.update(uses_left=F("uses_left") - 1):
                return None
            person.main_group_id = Invitation.objects.values_list("group_id", flat=True).get(digest=digest_of(token))
            person.save()
    except IntegrityError as error:
        raise NameTaken(username) from error
    return person


def _is_open() -> Q:
    return Q(uses_left__gt=0, expires_at__gt=Now())
