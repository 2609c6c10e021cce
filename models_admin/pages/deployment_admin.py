"""Deployments, for admins: what each does now, what it wrote, how fast it is, who pinned it, and the verbs."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.models import Deployment
from models_admin.pages import deployment_page, model_state, model_verbs, verb_view
from models_admin.pages.engine_admin import two_lines
from models_admin.pages.pin_admin import PinForm

TEMPLATES = "admin/models_admin/deployment"


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("what", "runs_on", "now", "size")
    list_filter = ("state",)
    list_select_related = ("artifact__model", "engine__host")
    fields = ("artifact", "engine", "context_tokens", "slots", "tokens_per_second", "idle_seconds")
    actions = ("warm", "unload", "measure")
    change_form_template = f"{TEMPLATES}/change_form.html"
    change_list_template = f"{TEMPLATES}/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        door = self.admin_site.admin_view(self.live)
        return [path("<int:pk>/live/", door, name="models_admin_deployment_live"), *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[Deployment]:
        rows: QuerySet[Deployment] = super().get_queryset(request).select_related("launch", *self.list_select_related)
        return rows.prefetch_related("pins")

    def get_readonly_fields(self, request: HttpRequest, obj: Deployment | None = None) -> tuple[str, ...]:
        """Other files or another engine are another deployment."""
        is_in_memory = obj is not None and obj.state not in Deployment.OUT_OF_MEMORY
        return (*(("artifact", "engine") if obj else ()), *(("context_tokens", "slots") if is_in_memory else ()))

    def save_model(self, request: HttpRequest, obj: Deployment, form: Any, change: bool) -> None:
        """Only what was typed: the rest of the row moves while somebody looks at the form."""
        obj.save(update_fields=form.changed_data) if change else obj.save()

    def has_press_permission(self, request: HttpRequest) -> bool:
        return model_verbs.may(request.user, "warm")

    @admin.display(description=_("Model"), ordering="artifact__model__name")
    def what(self, row: Deployment) -> SafeString:
        return two_lines(row.artifact.model.name, row.artifact.ref)

    @admin.display(description=_("Engine"), ordering="engine__base_url")
    def runs_on(self, row: Deployment) -> SafeString:
        return two_lines(row.engine.get_kind_display(), row.engine.base_url)

    @admin.display(description=_("State"), ordering="state")
    def now(self, row: Deployment) -> SafeString:
        since = formats.date_format(timezone.localtime(row.state_since), "SHORT_DATETIME_FORMAT")
        told = model_state.of_deployment(row)
        words = {"told": told, "since": gettext("since %(time)s") % {"time": since}}
        return render_to_string(f"{TEMPLATES}/_state.html", words)

    @admin.display(description=_("Slots × context"), ordering="slots")
    def size(self, row: Deployment) -> SafeString:
        pace = row.tokens_per_second
        tokens = formats.number_format(row.context_tokens, force_grouping=True)
        told = gettext("paced to %(count)d tokens/s") % {"count": pace} if pace else ""
        return two_lines(f"{row.slots} × {tokens}", told)

    @admin.action(description=_("Warm"), permissions=["press"])
    def warm(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        verb_view.press_all(request, "warm", list(queryset.values_list("pk", flat=True)))

    @admin.action(description=_("Unload"), permissions=["press"])
    def unload(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        verb_view.press_all(request, "unload", list(queryset.values_list("pk", flat=True)))

    @admin.action(description=_("Measure"), permissions=["press"])
    def measure(self, request: HttpRequest, queryset: QuerySet[Deployment]) -> None:
        verb_view.press_all(request, "measure", list(queryset.values_list("pk", flat=True)))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        if row is not None:
            known = {"page": deployment_page.of(row, request.user), "pin_form": _pin_form(request, row)}
            extra_context = {"title": model_verbs.name(row), "subtitle": None, **(extra_context or {}), **known}
        return super().change_view(request, object_id, form_url, extra_context)

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self.get_object(request, str(pk))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        return TemplateResponse(request, f"{TEMPLATES}/_now.html", {"page": deployment_page.of(row, request.user)})


def _pin_form(request: HttpRequest, row: Deployment) -> PinForm | None:
    may = request.user.has_perm("models_admin.add_pin") and not row.engine.is_cloud
    return PinForm(initial={"deployment": row.pk}) if may else None
