"""Pulls, for admins: read only, but for the verbs. Nothing here waits for a host or a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.safestring import SafeString
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from accounts.accounting_admin import ReadOnly
from models_admin.engines import fleet
from models_admin.models import PullJob
from models_admin.pages.engine_admin import two_lines
from models_admin.pulls import pull_words, pulling
from models_admin.pulls.pulling import PullError

Verb = Callable[..., PullJob]


@admin.register(PullJob)
class PullJobAdmin(ReadOnly):
    list_display = ("what", "now", "progress", "heard", "people")
    list_display_links = ("what",)
    list_filter = ("state", "stored__host")
    list_select_related = ("stored__artifact", "stored__host")
    search_fields = ("stored__artifact__ref",)
    ordering = ("-pk",)
    fields = ("files", "host", "told", "why", "detail", "amount", "speed", "left", "heard", "people", "attempt",
              "created_at", "ended_at")  # fmt: skip
    actions = ("start", "pause", "resume", "cancel", "retry")

    def has_move_permission(self, request: HttpRequest) -> bool:
        """Asked for the actions: moving a pull is changing it, though its fields are nobody's to type."""
        return request.user.has_perm("models_admin.change_pulljob")

    @admin.display(description=_("Model"), ordering="stored__artifact__ref")
    def what(self, job: PullJob) -> SafeString:
        return two_lines(job.stored.artifact.ref, fleet.shown_name(job.stored.host))

    @admin.display(description=_("State"), ordering="state")
    def now(self, job: PullJob) -> SafeString:
        return two_lines(pull_words.state(job), pull_words.reason(job))

    @admin.display(description=_("Loaded"))
    def progress(self, job: PullJob) -> SafeString:
        about = (pull_words.speed(job), pull_words.time_left(job))
        return two_lines(pull_words.amount(job), " · ".join(each for each in about if each != "–"))

    @admin.display(description=_("Model"))
    def files(self, job: PullJob) -> str:
        return job.stored.artifact.ref

    @admin.display(description=_("Host"))
    def host(self, job: PullJob) -> str:
        return fleet.shown_name(job.stored.host)

    @admin.display(description=_("State"))
    def told(self, job: PullJob) -> str:
        return pull_words.state(job)

    @admin.display(description=_("Loaded"))
    def amount(self, job: PullJob) -> str:
        return pull_words.amount(job)

    @admin.display(description=_("Speed"))
    def speed(self, job: PullJob) -> str:
        return pull_words.speed(job)

    @admin.display(description=_("Time left"))
    def left(self, job: PullJob) -> str:
        return pull_words.time_left(job)

    @admin.display(description=_("Last word"))
    def heard(self, job: PullJob) -> str:
        return pull_words.last_word(job)

    @admin.display(description=_("Asked by"))
    def people(self, job: PullJob) -> str:
        return ", ".join(map(str, job.asked_by))

    @admin.display(description=_("Reason"))
    def why(self, job: PullJob) -> str:
        return pull_words.reason(job) or "–"

    @admin.action(description=_("Start now"), permissions=["move"])
    def start(self, request: HttpRequest, queryset: QuerySet[PullJob]) -> None:
        self._move(request, queryset, pulling.start)

    @admin.action(description=_("Pause"), permissions=["move"])
    def pause(self, request: HttpRequest, queryset: QuerySet[PullJob]) -> None:
        self._move(request, queryset, pulling.pause)

    @admin.action(description=_("Resume"), permissions=["move"])
    def resume(self, request: HttpRequest, queryset: QuerySet[PullJob]) -> None:
        self._move(request, queryset, pulling.resume)

    @admin.action(description=_("Cancel, and remove what came"), permissions=["move"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[PullJob]) -> None:
        self._move(request, queryset, pulling.cancel)

    @admin.action(description=_("Retry"), permissions=["move"])
    def retry(self, request: HttpRequest, queryset: QuerySet[PullJob]) -> None:
        self._move(request, queryset, pulling.retry)

    def _move(self, request: HttpRequest, queryset: QuerySet[PullJob], verb: Verb) -> None:
        moved = 0
        for job in queryset.select_related("stored__artifact", "stored__host").order_by("pk"):
            try:
                verb(job, by=request.user.get_username())
                moved += 1
            except PullError as error:
                self.message_user(request, str(error), messages.WARNING)
        if moved:
            words = ngettext("%(count)d pull is told so.", "%(count)d pulls are told so.", moved)
            self.message_user(request, words % {"count": moved}, messages.SUCCESS)

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {"title": gettext("Pulls"), **(extra_context or {})})
