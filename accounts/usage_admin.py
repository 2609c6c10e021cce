"""The usage board: the box's use, cost, waits and fairness, for admins. From the roll-ups alone."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.translation import gettext as _

from accounts import usage_board, usage_csv, usage_page, usage_view
from accounts.accounting_admin import ReadOnly
from accounts.models import BoxDay, UsageDay, User


@admin.register(BoxDay)
class UsageBoard(ReadOnly):
    """One page in the place of a list."""

    def get_urls(self) -> list[Any]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.board), name="accounts_boxday_changelist"),
            path("usage.csv", wrap(self.table), name="accounts_boxday_csv"),
        ]

    def board(self, request: HttpRequest) -> HttpResponse:
        """`?days=` and `?show=` as on everybody's own page."""
        self._check(request)
        context = {
            **self.admin_site.each_context(request),
            "title": _("Usage of the box"),
            "opts": self.opts,
            "board": usage_board.board(usage_view.wish_of(request)),
        }
        return TemplateResponse(request, "admin/accounts/usage_board.html", context)

    def table(self, request: HttpRequest) -> HttpResponse:
        self._check(request)
        period = usage_view.wish_of(request).period
        rows = UsageDay.objects.filter(day__range=(period.first, period.last)).order_by("day", "ledger_id", "model_key")
        names = dict(User.objects.values_list("ledger_id", "username"))
        lines = usage_csv.lines(rows.iterator(), names)
        return usage_view.csv_answer("".join(lines), usage_page.csv_name(period, "box"))

    def _check(self, request: HttpRequest) -> None:
        if not self.has_view_permission(request):
            raise PermissionDenied
