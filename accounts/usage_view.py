"""Everybody's own usage: the page and its table for other programs."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts import limit_cards, reader_zone, usage, usage_csv, usage_page
from accounts.models import User
from accounts.usage_page import Wish


@login_required
@never_cache
@require_GET
def own_usage(request: HttpRequest) -> HttpResponse:
    """`?days=` 14, 30, 90 or 365, `?show=` gpu, tokens or requests."""
    user, wish = _user(request), wish_of(request)
    zone = reader_zone.name(request)
    timezone.activate(ZoneInfo(zone))
    rows = usage.of_person(user.ledger_id, wish.period)
    limit = limit_cards.day_limit(user, usage_page.UNITS[usage_page.measure_of(rows, wish)])
    context: dict[str, Any] = {
        "view": usage_page.view(rows, wish, limit=limit),
        "cards": limit_cards.cards(user),
        "zone": "" if zone == "UTC" else zone,
        "day_begins": datetime.combine(wish.period.last, time(), UTC),
    }
    return render(request, "usage/page.html", context)


@login_required
@never_cache
@require_GET
def own_usage_csv(request: HttpRequest) -> HttpResponse:
    user, period = _user(request), wish_of(request).period
    lines = usage_csv.lines(usage.of_person(user.ledger_id, period))
    return csv_answer("".join(lines), usage_page.csv_name(period, "usage"))


def wish_of(request: HttpRequest) -> Wish:
    return Wish.read(request.GET.get("days", ""), request.GET.get("show", ""))


def csv_answer(text: str, name: str) -> HttpResponse:
    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return HttpResponse(text, content_type="text/csv; charset=utf-8", headers=headers)


def _user(request: HttpRequest) -> User:
    if not isinstance(request.user, User):
        raise Http404
    return request.user
