"""The catalogue for admins: what each model needs, where it fits, what it does now, adding by name, and the verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.family import artifacts
from models_admin.family.artifacts import AddError
from models_admin.models import Artifact, CatalogueModel
from models_admin.pages import catalogue_page, catalogue_view, model_usage, model_work, plan_admin, verb_view
from models_admin.pages.access_admin import ModelAccessInline
from models_admin.pages.artifact_inline import ArtifactInline
from models_admin.pages.catalogue_actions import VERBS, ModelActions
from models_admin.pages.catalogue_row import Table

TEMPLATES = "admin/models_admin/cataloguemodel"


class AddForm(forms.Form):
    """A model is what its name means at its source now; there is nothing else to fill in."""

    name = forms.CharField(
        label=_("Name"),
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false", "list": "known-names"}),
        help_text=_("deepseek-r1:7b, OWNER/REPOSITORY, or OWNER/REPOSITORY/FILE.gguf. Nothing is downloaded yet."),
    )
    source = forms.ChoiceField(
        label=_("Source"), required=False, choices=[("", _("chosen by the name")), *Artifact.Source.choices]
    )


@admin.register(CatalogueModel)
class CatalogueModelAdmin(ModelActions, admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("named", "needs", "fit", "state", "usage")
    ordering = ("name",)
    search_fields = ("name", "key", "artifacts__ref")
    list_per_page = 50
    fields = ("name", "key", "is_visible", "is_restricted", "temperature", "top_p")
    readonly_fields = ("key",)
    inlines = (ModelAccessInline, ArtifactInline)
    actions = VERBS
    change_form_template = f"{TEMPLATES}/change_form.html"
    change_list_template = f"{TEMPLATES}/change_list.html"

    def get_urls(self) -> list[URLPattern]:
        door = self.admin_site.admin_view
        own = [
            path("live/", door(self.live_list), name="models_admin_cataloguemodel_live"),
            path("verb/<slug:verb>/", door(verb_view.press), name="models_admin_verb"),
            path("<int:pk>/live/", door(self.live_page), name="models_admin_model_live"),
            path("<int:pk>/plan/", door(plan_admin.plan), name="models_admin_plan"),
            path("<int:pk>/plan/live/", door(plan_admin.live), name="models_admin_plan_live"),
        ]
        return [*own, *super().get_urls()]

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogueModel]:
        return super().get_queryset(request).prefetch_related(*catalogue_view.WITH_ROWS)

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """Machines and the ledger are read once for all rows."""
        changes = super().get_changelist_instance(request)
        table = Table(model_usage.by_model())
        for model in changes.result_list:
            model.row = table.row(model)
        return changes

    @admin.display(description=_("Model"), ordering="name")
    def named(self, model: CatalogueModel) -> SafeString:
        return _cell("name", model=model, row=vars(model)["row"])

    @admin.display(description=_("Needs"))
    def needs(self, model: CatalogueModel) -> SafeString:
        return _cell("needs", needs=vars(model)["row"].needs)

    @admin.display(description=_("Fit"))
    def fit(self, model: CatalogueModel) -> SafeString:
        return _cell("fit", row=vars(model)["row"])

    @admin.display(description=_("State"))
    def state(self, model: CatalogueModel) -> SafeString:
        return _cell("state", row=vars(model)["row"])

    @admin.display(description=_("Last 7 days"))
    def usage(self, model: CatalogueModel) -> SafeString:
        return _cell("usage", usage=vars(model)["row"].usage)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": gettext("Models"), **(extra_context or {})})

    def live_list(self, request: HttpRequest) -> HttpResponse:
        """The cells that change by themselves, of the models named by `pk`."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = [int(each) for each in request.GET.getlist("pk")[: self.list_per_page] if each.isdecimal()]
        table = Table({})
        rows = [table.row(model) for model in self.get_queryset(request).filter(pk__in=wanted)]
        return TemplateResponse(request, f"{TEMPLATES}/live.html", {"rows": rows})

    def live_page(self, request: HttpRequest, pk: int) -> HttpResponse:
        model = self.get_object(request, str(pk))
        if model is None or not self.has_view_permission(request, model):
            raise PermissionDenied
        return TemplateResponse(request, f"{TEMPLATES}/_now.html", {"work": model_work.of(model, request.user)})

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Asks the registry outside of any transaction: the database's write lock must not wait for the network."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = AddForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and (added := self._add(request, form)):
            return added
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Add a model"),
            "opts": self.opts,
            "form": form,
            "names": catalogue_view.known_names(),
            "family": catalogue_view.family(),
        }
        return TemplateResponse(request, f"{TEMPLATES}/add.html", context)

    def _add(self, request: HttpRequest, form: AddForm) -> HttpResponse | None:
        try:
            added = artifacts.add(form.cleaned_data["name"], source=form.cleaned_data["source"])
        except AddError as error:
            form.add_error("name", str(error))
            return None
        row = added.artifact
        self.log_addition(request, row.model, f"{row.source}: {row.ref} @ {row.digest[:12]}")
        words = gettext("%(ref)s is added.") if added.is_new else gettext("%(ref)s was here already.")
        self.message_user(request, words % {"ref": row.ref}, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:models_admin_cataloguemodel_change", args=[row.model.pk]))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        model = self.get_object(request, object_id)
        known: dict[str, Any] = {}
        if model is not None:
            known = {"title": model.name, "subtitle": None, "work": model_work.of(model, request.user)}
            known |= catalogue_page.known(model)
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **known})


def _cell(name: str, **context: Any) -> SafeString:
    return render_to_string(f"{TEMPLATES}/_{name}.html", context)
