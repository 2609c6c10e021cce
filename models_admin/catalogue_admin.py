"""The catalogue for admins: what is known of each model, where it runs, where it would fit, adding by name."""

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
from django.urls import reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin import artifacts, catalogue_view, fleet, memory_words
from models_admin.artifacts import AddError
from models_admin.expected_memory import Comparison
from models_admin.memory_fit import USUAL_CONTEXT
from models_admin.models import Artifact, CatalogueModel, Deployment

TEMPLATES = "admin/models_admin/cataloguemodel"
# Marks of states; what is not named has the one of a cold model.
LOOKS = {"warm": "fits", "failed": "no", "starting": "unload", "quarantined": "unload", "draining": "unload"}


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


class ArtifactInline(admin.TabularInline):  # type: ignore[type-arg]
    """Pinned files are added by name and never edited: another digest is another artifact."""

    model = Artifact
    verbose_name_plural = _("Files")
    fields = readonly_fields = ("origin", "named", "bits", "size", "pinned", "upstream")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("Source"))
    def origin(self, artifact: Artifact) -> str:
        return str(artifact.get_source_display())

    @admin.display(description=_("Name"))
    def named(self, artifact: Artifact) -> str:
        return artifact.ref

    @admin.display(description=_("Quantisation"))
    def bits(self, artifact: Artifact) -> str:
        return artifact.quantisation or "–"

    @admin.display(description=_("Size"))
    def size(self, artifact: Artifact) -> str:
        return catalogue_view.gigabytes(artifact.bytes) if artifact.bytes else "–"

    @admin.display(description=_("Pinned to"))
    def pinned(self, artifact: Artifact) -> str:
        return artifact.digest[:12] or gettext("nothing: an engine serves it")

    @admin.display(description=_("Upstream now"))
    def upstream(self, artifact: Artifact) -> SafeString | str:
        if not artifacts.has_changed(artifact):
            return gettext("the same") if artifact.upstream_digest else "–"
        return render_to_string(f"{TEMPLATES}/_changed.html", {"artifact": artifact})


@admin.register(CatalogueModel)
class CatalogueModelAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("named", "about", "files", "fit", "state")
    ordering = ("name",)
    search_fields = ("name", "key", "artifacts__ref")
    list_per_page = 50
    fields = ("name", "key", "is_visible", "temperature", "top_p")
    readonly_fields = ("key",)
    inlines = (ArtifactInline,)
    actions = ("check_upstream",)
    change_form_template = f"{TEMPLATES}/change_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[CatalogueModel]:
        return super().get_queryset(request).prefetch_related("artifacts__deployments__engine__host")

    def get_changelist_instance(self, request: HttpRequest) -> ChangeList:
        """The machines are read once for all rows."""
        changes = super().get_changelist_instance(request)
        machines = catalogue_view.machines()
        for model in changes.result_list:
            model.machines = machines
        return changes

    @admin.display(description=_("Model"), ordering="name")
    def named(self, model: CatalogueModel) -> SafeString:
        return _cell("name", model=model, card=catalogue_view.card_of(model))

    @admin.display(description=_("Facts"))
    def about(self, model: CatalogueModel) -> SafeString:
        card = catalogue_view.card_of(model)
        context = catalogue_view.number(card.context) if card else ""
        return _cell("about", card=card, context=context, parameters=catalogue_view.parameters(card) if card else "")

    @admin.display(description=_("Files"))
    def files(self, model: CatalogueModel) -> SafeString:
        rows = [
            (row, catalogue_view.gigabytes(row.bytes) if row.bytes else "", artifacts.has_changed(row))
            for row in model.artifacts.all()
        ]
        return _cell("files", rows=rows)

    @admin.display(description=_("Fit"))
    def fit(self, model: CatalogueModel) -> SafeString:
        return _cell("fit", plans=catalogue_view.plans(model, vars(model)["machines"]))

    @admin.display(description=_("Deployed"))
    def state(self, model: CatalogueModel) -> SafeString:
        return _cell("state", rows=_deployed(model))

    @admin.action(description=_("Ask what the names mean upstream"), permissions=["change"])
    def check_upstream(self, request: HttpRequest, queryset: QuerySet[CatalogueModel]) -> None:
        checked = artifacts.check_upstream(Artifact.objects.filter(model__in=queryset).order_by("ref"))
        for row in checked:
            if row.problem:
                self.message_user(request, row.problem, messages.WARNING)
        changed = [row.artifact.ref for row in checked if artifacts.has_changed(row.artifact)]
        if changed:
            about = {"names": ", ".join(changed)}
            self.message_user(
                request, gettext("Changed upstream, not followed here: %(names)s.") % about, messages.WARNING
            )
        elif checked and not any(row.problem for row in checked):
            self.message_user(request, gettext("All names still mean what is pinned here."), messages.SUCCESS)
        elif not checked:
            self.message_user(request, gettext("None of them is pinned, so there is nothing to compare."))

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": gettext("Models"), **(extra_context or {})})

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
        known = _known(model) if model else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **known})


def _known(model: CatalogueModel) -> dict[str, Any]:
    card = catalogue_view.card_of(model)
    return {
        "card": card,
        "plans": catalogue_view.plans(model, catalogue_view.machines()),
        "changed": catalogue_view.changed(model),
        "parameters": catalogue_view.parameters(card) if card else "",
        "context_tokens": catalogue_view.number(card.context) if card else "",
        "assumed_tokens": catalogue_view.number(USUAL_CONTEXT),
        "sizes": [(size, catalogue_view.gigabytes(size.bytes)) for size in card.sizes] if card else [],
        "deployed": _deployed(model),
    }


def _deployed(model: CatalogueModel) -> list[dict[str, Any]]:
    rows = catalogue_view.deployments(model)
    memory = {row.pk: found for row, found in catalogue_view.memory(rows)}
    return [_deployment(row, memory.get(row.pk)) for row in rows]


def _deployment(row: Deployment, memory: Comparison | None) -> dict[str, Any]:
    found = {
        "row": row,
        "place": fleet.place_of(row.engine),
        "look": LOOKS.get(row.state, "cold"),
        "context": catalogue_view.number(row.context_tokens),
    }
    if memory is not None:
        found["expected"] = catalogue_view.gibibytes(memory.expected)
        found["measured"] = catalogue_view.gibibytes(memory.measured)
        found["error"] = memory_words.error(memory)
    return found


def _cell(name: str, **context: Any) -> SafeString:
    return render_to_string(f"{TEMPLATES}/_{name}.html", context)
