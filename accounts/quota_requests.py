"""Asking for more of a limit: kept with the use it was asked at, granted with an amount and an end, or refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial

import msgspec
from django.db import transaction
from django.utils import timezone

from accounts import quota_rules, quota_standing
from accounts.models import QuotaLimit, QuotaRequest, User
from accounts.quota_standing import Standing
from live import doorbell

QUOTA = "quota"  # what the doorbell says
TOLD_FOR = timedelta(days=14)
State = QuotaRequest.State


class NotYourLimit(Exception):
    """No limit that binds this person."""


class AlreadyAnswered(Exception):
    """Somebody else was faster."""


class UsageSeen(msgspec.Struct, frozen=True):
    """How far one of his limits was used when he asked; amounts in the limit's unit."""

    limit: int
    unit: str
    window: str
    model_key: str
    used: int
    reserved: int
    debt: int
    allowed: int


def ask(user: User, limit_id: int, reason: str) -> QuotaRequest:
    """One that is open already gets the new reason and use. Raises `NotYourLimit`."""
    standings = _standings(user, limit_id)
    fields = {"reason": reason[:500], "usage": [msgspec.to_builtins(_seen(each)) for each in standings]}
    with transaction.atomic():
        User.objects.select_for_update().only("pk").get(pk=user.pk)  # of two tabs at once one finds the other's
        row, _made = QuotaRequest.objects.update_or_create(
            user=user, limit_id=limit_id, state=State.OPEN, defaults=fields
        )
        _ring(user.pk)
    return row


def usage(request: QuotaRequest) -> list[UsageSeen]:
    """As it was when he asked."""
    return msgspec.convert(request.usage or [], list[UsageSeen])


def grant(request: QuotaRequest, *, amount: int, ends_at: datetime, by: str, answer: str = "") -> QuotaLimit:
    """`amount` more in the limit's unit and window, until `ends_at`. He reads `answer`. Raises `AlreadyAnswered`."""
    limit = request.limit
    with transaction.atomic():
        _close(request, State.GRANTED, by, answer)
        kind, subject_id = _for_whom(request)
        made = QuotaLimit.objects.create(
            subject_kind=kind, subject_id=subject_id, model_key=limit.model_key, unit=limit.unit, window=limit.window,
            time_zone=limit.time_zone, amount=amount, is_grant=True, starts_at=timezone.now(), ends_at=ends_at,
            note=f"{request.user.get_username()}: {request.reason}"[:300],
        )  # fmt: skip
        QuotaRequest.objects.filter(pk=request.pk).update(granted=made)
        _ring(request.user_id)
    return made


def refuse(request: QuotaRequest, *, by: str, answer: str = "") -> None:
    """He reads `answer`, the reason. Raises `AlreadyAnswered`."""
    with transaction.atomic():
        _close(request, State.REFUSED, by, answer)
        _ring(request.user_id)


def may_answer(user: User) -> bool:
    return user.is_staff and user.has_perm("accounts.change_quotarequest")


def count_open() -> int:
    return QuotaRequest.objects.filter(state=State.OPEN).count()


def is_for_all(request: QuotaRequest) -> bool:
    """Whether what is granted goes to all who share the limit: it cannot grow for one of them alone."""
    limit = request.limit
    return not quota_rules.counts_each(limit) and limit.subject_kind != QuotaLimit.SubjectKind.USER


def told(user: User) -> list[QuotaRequest]:
    """What he asked for and has not read the answer to, the newest first."""
    rows = QuotaRequest.objects.filter(user=user, read_at=None, created_at__gte=timezone.now() - TOLD_FOR)
    return list(rows.select_related("limit", "granted").order_by("-created_at"))


def read(user: User, request_id: int) -> None:
    """He has read the answer."""
    rows = QuotaRequest.objects.filter(user=user, pk=request_id, read_at=None).exclude(state=State.OPEN)
    if rows.update(read_at=timezone.now()):
        doorbell.ring(doorbell.for_user(user.pk, QUOTA))


def _standings(user: User, limit_id: int) -> list[Standing]:
    limit = QuotaLimit.objects.filter(pk=limit_id, is_grant=False).first()
    found = quota_standing.read(user, None, limit.model_key) if limit else []
    if limit_id not in {each.limit.pk for each in found}:
        raise NotYourLimit
    return found


def _seen(standing: Standing) -> UsageSeen:
    limit, parts = standing.limit, (standing.used, standing.reserved, standing.debt, standing.allowed)
    return UsageSeen(limit.pk, limit.unit, limit.window, limit.model_key, *parts)


def _close(request: QuotaRequest, state: QuotaRequest.State, by: str, answer: str) -> None:
    rows = QuotaRequest.objects.filter(pk=request.pk, state=State.OPEN)
    if not rows.update(state=state, closed_at=timezone.now(), closed_by=by, answer=answer):
        raise AlreadyAnswered


def _for_whom(request: QuotaRequest) -> tuple[str, int | None]:
    if is_for_all(request):
        return request.limit.subject_kind, request.limit.subject_id
    return QuotaLimit.SubjectKind.USER, request.user_id


def _ring(user_id: int) -> None:
    transaction.on_commit(partial(doorbell.ring, doorbell.for_user(user_id, QUOTA)))
