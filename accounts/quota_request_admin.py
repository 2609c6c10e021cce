"""Requests for more, for admins: each with the use it was asked at, to be granted until a date or refused."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.widgets import AdminSplitDateTime
from django.db.models import Case, Value, When
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import quota_requests, quota_units, quota_words
from accounts.accounting_admin import ReadOnly
from accounts.models import QuotaLimit, QuotaRequest
from accounts.quota_form import LARGEST, AmountField
from accounts.quota_requests import AlreadyAnswered, UsageSeen

State = QuotaRequest.State
USUAL_DAYS = 7


@dataclass(frozen=True)
class Row:
    """A limit of the asker's as it stood then; `percent` for the bar."""

    name: str
    told: str
    percent: int
    is_asked_for: bool


class GrantForm(forms.Form):
    """How much more, in people's units, and until when."""

    amount = AmountField(label=_("Added to the limit"))
    ends_at = forms.SplitDateTimeField(label=_("Until"), widget=AdminSplitDateTime())

    def clean_ends_at(self) -> Any:
        ends_at = self.cleaned_data["ends_at"]
        if ends_at <= timezone.now():
            raise forms.ValidationError(_("That is over already."))
        return ends_at


class ReplyForm(forms.Form):
    """What the person reads with the yes or no."""

    answer = forms.CharField(
        label=_("Why"),
        required=False,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=_("The person reads it with your answer. It may stay empty."),
    )


@admin.register(QuotaRequest)
class QuotaRequestAdmin(ReadOnly):
    list_display = ("user", "what", "reason", "state", "created_at")
    list_filter = ("state",)
    # The open ones first, the oldest of them on top.
    ordering = (Case(When(state=State.OPEN, then=Value(0)), default=Value(1)), "created_at")
    list_select_related = ("user", "limit")
    search_fields = ("user__username", "reason")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return bool(request.user.has_perm("accounts.change_quotarequest"))

    @admin.display(description=_("Limit"))
    def what(self, row: QuotaRequest) -> str:
        return str(row.limit)

    def change_view(self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None) -> Any:
        row = self.get_object(request, object_id)
        if row is None or not self.has_change_permission(request):
            return super().change_view(request, object_id, form_url, extra_context)
        form = GrantForm(request.POST if "grant" in request.POST else None, initial=_proposal(row.limit))
        reply = ReplyForm(request.POST or None)
        if request.method == "POST" and reply.is_valid() and ("refuse" in request.POST or form.is_valid()):
            return self._answer(request, row, form, " ".join(reply.cleaned_data["answer"].split()))
        return self._page(request, row, form, reply)

    def _answer(self, request: HttpRequest, row: QuotaRequest, form: GrantForm, answer: str) -> HttpResponse:
        by = request.user.get_username()
        try:
            if "refuse" in request.POST:
                quota_requests.refuse(row, by=by, answer=answer)
                told = gettext("Refused. %(person)s reads it on the page.")
            else:
                amount = min(LARGEST, quota_units.for_tables(row.limit.unit, form.cleaned_data["amount"]))
                ends_at = form.cleaned_data["ends_at"]
                quota_requests.grant(row, amount=amount, ends_at=ends_at, by=by, answer=answer)
                told = gettext("Granted. %(person)s reads it on the page.")
            self.log_change(request, row, told % {"person": row.user})
            self.message_user(request, told % {"person": row.user}, messages.SUCCESS)
        except AlreadyAnswered:
            self.message_user(request, gettext("Somebody answered it already."), messages.WARNING)
        return redirect("admin:accounts_quotarequest_changelist")

    def _page(self, request: HttpRequest, row: QuotaRequest, form: GrantForm, reply: ReplyForm) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("%(person)s asks for more") % {"person": row.user},
            "opts": self.opts,
            "asked": row,
            "is_open": row.state == State.OPEN,
            "usage": [_row(seen, row.limit_id) for seen in quota_requests.usage(row)],
            "is_for_all": quota_requests.is_for_all(row),
            "unit": row.limit.get_unit_display(),
            "form": form,
            "reply": reply,
            "media": self.media + form.media,
        }
        return TemplateResponse(request, "admin/accounts/quotarequest/answer.html", context)


def _proposal(limit: QuotaLimit) -> dict[str, Any]:
    """As much again, for a week."""
    return {
        "amount": quota_units.for_people(limit.unit, limit.amount),
        "ends_at": timezone.localtime() + timedelta(days=USUAL_DAYS),
    }


def _row(seen: UsageSeen, asked_for: int) -> Row:
    limit = QuotaLimit(unit=seen.unit, window=seen.window, model_key=seen.model_key)
    taken = seen.used + seen.reserved + seen.debt
    about = {"used": quota_words.amount(limit, taken), "all": quota_words.amount(limit, seen.allowed)}
    name = quota_words.name(limit) + (f" · {seen.model_key}" if seen.model_key else "")
    percent = min(100, 100 * taken // seen.allowed) if seen.allowed else 100
    return Row(name, gettext("{used} of {all}").format(**about), percent, seen.limit == asked_for)
