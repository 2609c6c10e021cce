"""A person's limits on the chat page: fetched anew when a bell rings, a wish is refused or a window ends."""

from __future__ import annotations

import uuid
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts import quota_requests, reader_zone
from accounts.models import User
from chat import quota_wall
from chat.quota_wall import Refused


@login_required
@never_cache
@require_GET
def limits(request: HttpRequest) -> HttpResponse:
    """`?model=ID`, `&conversation=ID`; after a refusal also `&limit=` and `&needs=` as the socket said."""
    timezone.activate(ZoneInfo(reader_zone.name(request)))
    asked = request.GET
    limit_id, needs = _number(asked.get("limit")), _number(asked.get("needs"))
    found = quota_wall.view(
        _user(request),
        asked.get("model", "").replace("\x00", "")[:200],
        conversation_id=_uuid(asked.get("conversation")),
        refused=Refused(limit_id, needs) if limit_id is not None and needs is not None else None,
    )
    return render(request, "chat/_quota.html", {"quota": found})


@login_required
@require_POST
def ask_for_more(request: HttpRequest) -> HttpResponse:
    """`limit` and perhaps a `reason`; 404 for a limit that does not bind this person."""
    try:
        reason = " ".join(request.POST.get("reason", "").replace("\x00", "").split())
        quota_requests.ask(_user(request), _number(request.POST.get("limit")) or 0, reason)
    except quota_requests.NotYourLimit:
        raise Http404 from None
    return HttpResponse(status=204)


@login_required
@require_POST
def read_answer(request: HttpRequest) -> HttpResponse:
    """He has read what an admin answered to his `request`."""
    quota_requests.read(_user(request), _number(request.POST.get("request")) or 0)
    return HttpResponse(status=204)


def _number(told: str | None) -> int | None:
    return int(told) if told and told.isascii() and told.isdigit() and len(told) < 19 else None


def _uuid(told: str | None) -> uuid.UUID | None:
    try:
        return uuid.UUID(told) if told else None
    except ValueError:
        return None


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # login_required stands before
    return request.user
