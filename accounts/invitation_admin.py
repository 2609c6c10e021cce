"""Invitations, for admins: made, watched, withdrawn by deleting. The link is shown once."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import invitations
from accounts.models import Group, Invitation


class InvitationForm(forms.Form):
    group = forms.ModelChoiceField(Group.objects.order_by("name"), label=_("Group"), required=False)
    people = forms.IntegerField(
        label=_("People"), min_value=1, max_value=invitations.MOST_PEOPLE, initial=invitations.PEOPLE
    )
    days = forms.IntegerField(label=_("Days"), min_value=1, max_value=invitations.MOST_DAYS, initial=invitations.DAYS)


@admin.register(Invitation)
class InvitationAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("made_by", "created_at", "group", "uses_left", "expires_at")
    list_select_related = ("group",)
    ordering = ("-pk",)

    def has_change_permission(self, request: HttpRequest, obj: Invitation | None = None) -> bool:
        return False

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        return super().changelist_view(request, {"title": gettext("Invitations"), **(extra_context or {})})

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ends on the only page that ever shows the link; a redirect would have to store it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = InvitationForm(request.POST or None)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "form": form}
        if request.method != "POST" or not form.is_valid():
            context["title"] = gettext("Invite people")
            return TemplateResponse(request, "admin/accounts/invitation/add.html", context)
        made = invitations.make(by=request.user.get_username(), **form.cleaned_data)
        self.log_addition(request, made.invitation, f"{made.invitation.uses_left} · {made.invitation.expires_at:%F}")
        shown = {"title": gettext("The invitation"), "invitation": made.invitation}
        link = request.build_absolute_uri(made.path)
        return TemplateResponse(request, "admin/accounts/invitation/made.html", {**context, **shown, "link": link})
