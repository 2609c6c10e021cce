"""Limits, for admins. Before one is saved they see who would have nothing left of it today."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.db.models import Case, CharField, OuterRef, QuerySet, Subquery, When
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import path
from django.urls.resolvers import URLPattern
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts import limit_presets, quota_limits, quota_so_far, quota_words, reader_zone
from accounts.models import ApiToken, Group, QuotaLimit, User
from accounts.quota_form import QuotaLimitForm
from accounts.quota_over_words import OverWords

# Not in the model's Meta: a name that only this admin shows is no reason for a migration.
QuotaLimit._meta.verbose_name = _("quota limit")
QuotaLimit._meta.verbose_name_plural = _("quota limits")


class UnitFilter(admin.ChoicesFieldListFilter):
    """By unit, in the reader's language: the field has no name of its own for the same reason."""

    def __init__(self, *arguments: Any, **fields: Any) -> None:
        super().__init__(*arguments, **fields)
        self.title = gettext("Unit")


@admin.register(QuotaLimit)
class QuotaLimitAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = QuotaLimitForm
    change_form_template = "admin/accounts/quotalimit/change_form.html"
    change_list_template = "admin/accounts/quotalimit/change_list.html"
    fieldsets = (
        (None, {"fields": ("subject_kind", "user", "group", "token", "is_each", "model_key")}),
        (None, {"fields": ("amount", "unit", "window", "time_zone")}),
        (_("For a while"), {"fields": ("is_grant", "starts_at", "ends_at", "note")}),
    )
    list_display = ("what", "subject", "model_name", "is_grant", "ends_at")
    list_filter = ("is_grant", ("unit", UnitFilter))
    search_fields = ("subject_name", "note")

    def get_queryset(self, request: HttpRequest) -> QuerySet[QuotaLimit]:
        rows: QuerySet[QuotaLimit] = super().get_queryset(request)
        names = {"user": (User, "username"), "group": (Group, "name"), "token": (ApiToken, "name")}
        cases = [
            When(subject_kind=kind, then=Subquery(model.objects.filter(pk=OuterRef("subject_id")).values(name)[:1]))  # type: ignore[attr-defined]
            for kind, (model, name) in names.items()
        ]
        return rows.annotate(subject_name=Case(*cases, output_field=CharField()))

    def get_urls(self) -> list[URLPattern]:
        address = path(
            "presets/<str:name>/", self.admin_site.admin_view(self.preset), name="accounts_quotalimit_preset"
        )
        return [address, *super().get_urls()]

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        """A day of the limit is a day where the admin is."""
        return {"time_zone": reader_zone.name(request), **super().get_changeform_initial_data(request)}

    @admin.display(description=_("Limit"), ordering="unit")
    def what(self, limit: QuotaLimit) -> str:
        return str(limit)

    @admin.display(description=_("Model"), ordering="model_key")
    def model_name(self, limit: QuotaLimit) -> str:
        return limit.model_key

    @admin.display(description=_("Applies to"), ordering="subject_name")
    def subject(self, limit: QuotaLimit) -> str:
        return quota_words.subject(limit, limit.subject_name or "")  # type: ignore[attr-defined]

    def save_model(self, request: HttpRequest, obj: QuotaLimit, form: Any, change: bool) -> None:
        quota_limits.save(obj)

    def changeform_view(
        self, request: HttpRequest, object_id: str | None = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A form that would leave somebody nothing is shown again with his name before it is saved."""
        if request.method != "POST" or ("_seen" in request.POST and "_preview" not in request.POST):
            return super().changeform_view(request, object_id, form_url, extra_context)
        limit = self.get_object(request, object_id) if object_id else None
        form = self.get_form(request, limit, change=limit is not None)(request.POST, instance=limit)
        over = quota_so_far.over(form.instance) if form.is_valid() else []
        if not form.is_valid() or (not over and "_preview" not in request.POST):
            return super().changeform_view(request, object_id, form_url, extra_context)
        return self._shown_again(request, form, OverWords.of(form.instance, over), is_new=limit is None)

    def _shown_again(self, request: HttpRequest, form: Any, over: OverWords, *, is_new: bool) -> HttpResponse:
        limit = None if is_new else form.instance
        shown = helpers.AdminForm(form, list(self.get_fieldsets(request, limit)), {}, model_admin=self)  # type: ignore[arg-type]
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("New limit") if is_new else gettext("Limit"),
            "adminform": shown,
            "errors": [],
            "inline_admin_formsets": [],
            "media": self.media + shown.media,
            "object_id": limit.pk if limit else None,
            "original": limit,
            "is_popup": False,
            "over": over,
        }
        return self.render_change_form(request, context, add=is_new, change=not is_new, obj=limit)

    def preset(self, request: HttpRequest, name: str) -> HttpResponse:
        """Who would be over today, then the preset in place of the one before."""
        chosen = limit_presets.find(name)
        if chosen is None or not self.has_add_permission(request):
            raise Http404
        zone = reader_zone.name(request)
        limits = limit_presets.limits(chosen, time_zone=zone)
        if request.method == "POST":
            limit_presets.apply(chosen, time_zone=zone)
            self.message_user(request, _("The limits are set."), messages.SUCCESS)
            return redirect("admin:accounts_quotalimit_changelist")
        over = [OverWords.of(each, quota_so_far.over(each)) for each in limits]
        context = {
            **self.admin_site.each_context(request),
            "title": preset_name(chosen.name),
            "over": over,
            "opts": self.opts,
        }
        return TemplateResponse(request, "admin/accounts/quotalimit/preset.html", context)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        presets = [(each.name, preset_name(each.name)) for each in limit_presets.PRESETS]
        return super().changelist_view(request, {**(extra_context or {}), "presets": presets})


def preset_name(name: str) -> str:
    return {"few": gettext("No limits"), "team": gettext("Team of 10"), "class": gettext("Class of 30")}[name]
