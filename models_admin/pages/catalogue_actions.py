"""The verbs on chosen lines of the list of models. Each finds the rows it is for and presses them, or leads on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.family import artifacts
from models_admin.loads import outlook
from models_admin.models import Artifact, CatalogueModel, Deployment, PullJob, StoredArtifact
from models_admin.pages import model_verbs, verb_view

VERBS = ("plan", "pull", "pause", "warm", "pin", "unload", "delete_files", "measure", "logs", "check_upstream")
Models = QuerySet[CatalogueModel]
Answer = HttpResponse | None
IN_MEMORY = (Deployment.State.WARM, Deployment.State.STARTING)
UNDER_WAY = (PullJob.State.PLANNED, PullJob.State.RUNNING)


class ModelActions:
    """Mixed into the admin of models. An action is there for whoever may do what it does."""

    message_user: Callable[..., None]

    def has_pull_permission(self, request: HttpRequest) -> bool:
        return model_verbs.may(request.user, "pull")

    def has_deploy_permission(self, request: HttpRequest) -> bool:
        return model_verbs.may(request.user, "warm")

    def has_pin_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("models_admin.add_pin")

    def has_files_permission(self, request: HttpRequest) -> bool:
        return model_verbs.may(request.user, "delete_files")

    def has_logs_permission(self, request: HttpRequest) -> bool:
        return request.user.has_perm("models_admin.view_deployment")

    @admin.action(description=_("Plan"), permissions=["view"])
    def plan(self, request: HttpRequest, queryset: Models) -> Answer:
        return self._lead(request, queryset.values_list("pk", flat=True), "models_admin_plan")

    @admin.action(description=_("Pull"), permissions=["pull"])
    def pull(self, request: HttpRequest, queryset: Models) -> Answer:
        """At once where there is one way to do it: the same files to the host that had them; else by the plan."""
        stored = StoredArtifact.objects.filter(artifact__model__in=queryset)
        again = stored.exclude(state=StoredArtifact.State.READY)
        if not again.exists():
            return self._lead(request, queryset.values_list("pk", flat=True), "models_admin_plan")
        return self._press(request, "pull", again)

    @admin.action(description=_("Pause"), permissions=["pull"])
    def pause(self, request: HttpRequest, queryset: Models) -> Answer:
        jobs = PullJob.objects.filter(stored__artifact__model__in=queryset, state__in=UNDER_WAY)
        return self._press(request, "pause", jobs)

    @admin.action(description=_("Warm"), permissions=["deploy"])
    def warm(self, request: HttpRequest, queryset: Models) -> Answer:
        """Each where it is best: where it fits, or unloads least."""
        board = outlook.look()
        found = [board.for_model(model.key) for model in queryset]
        return self._press(request, "warm", [each.deployment for each in found if each])

    @admin.action(description=_("Pin"), permissions=["pin"])
    def pin(self, request: HttpRequest, queryset: Models) -> Answer:
        found = outlook.for_model(queryset[0].key) if queryset.count() == 1 else None
        if found is None:
            self.message_user(request, gettext("Choose one model that is deployed."), messages.WARNING)
            return None
        return HttpResponseRedirect(f"{reverse('admin:models_admin_pin_add')}?deployment={found.deployment.pk}")

    @admin.action(description=_("Unload"), permissions=["deploy"])
    def unload(self, request: HttpRequest, queryset: Models) -> Answer:
        rows = Deployment.objects.filter(artifact__model__in=queryset, state__in=IN_MEMORY, engine__is_cloud=False)
        return self._press(request, "unload", rows)

    @admin.action(description=_("Delete files"), permissions=["files"])
    def delete_files(self, request: HttpRequest, queryset: Models) -> Answer:
        rows = StoredArtifact.objects.filter(artifact__model__in=queryset, state=StoredArtifact.State.READY)
        found = list(rows.values_list("pk", flat=True))
        if found:
            return verb_view.ask(request, "delete_files", found)
        self._nothing(request)
        return None

    @admin.action(description=_("Measure"), permissions=["deploy"])
    def measure(self, request: HttpRequest, queryset: Models) -> Answer:
        rows = Deployment.objects.filter(artifact__model__in=queryset, state=Deployment.State.WARM)
        return self._press(request, "measure", rows.filter(engine__is_cloud=False))

    @admin.action(description=_("Logs"), permissions=["logs"])
    def logs(self, request: HttpRequest, queryset: Models) -> Answer:
        rows = Deployment.objects.filter(artifact__model__in=queryset).order_by("-launch", "pk")
        return self._lead(request, rows.values_list("pk", flat=True)[:1], "models_admin_deployment_change", "#log")

    @admin.action(description=_("Ask what the names mean upstream"), permissions=["change"])
    def check_upstream(self, request: HttpRequest, queryset: Models) -> None:
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

    def _press(self, request: HttpRequest, verb: str, rows: Iterable[Any]) -> Answer:
        found = [row.pk for row in rows]
        if found:
            verb_view.press_all(request, verb, found)
        else:
            self._nothing(request)
        return None

    def _nothing(self, request: HttpRequest) -> None:
        self.message_user(request, gettext("There is nothing to do that with in what you chose."), messages.WARNING)

    def _lead(self, request: HttpRequest, rows: Iterable[int], page: str, place: str = "") -> Answer:
        found = list(rows)
        if len(found) != 1:
            self.message_user(request, gettext("Choose one model for that."), messages.WARNING)
            return None
        return HttpResponseRedirect(reverse(f"admin:{page}", args=found) + place)
