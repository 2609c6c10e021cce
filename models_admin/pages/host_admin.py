"""The hosts board, for admins: cards and their memory, what is loaded, what could be attached, room on the disk."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.agents import host_access, joining
from models_admin.agents.joining import JoinError
from models_admin.engines import fleet, row_locks
from models_admin.family.sentences import listed
from models_admin.fit.memory_split import GIB
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, Inventory
from models_admin.models import Host
from models_admin.pages import activity, host_view
from models_admin.pages.catalogue_view import gigabytes
from models_admin.pages.host_view import HostView

TEMPLATES = "admin/models_admin/host"


class HostForm(forms.ModelForm):  # type: ignore[type-arg]
    memory_limit = forms.FloatField(
        label=_("Memory for models, GiB"), required=False, min_value=0.1, max_value=1e6,
        help_text=_("Of a machine without a GPU: the rest stays for what else runs there. Empty: all of it."),
    )  # fmt: skip

    class Meta:
        model = Host
        fields = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        limit = self.instance.memory_limit_bytes
        self.fields["memory_limit"].initial = round(limit / GIB, 2) if limit else None

    def save(self, commit: bool = True) -> Any:
        limit = self.cleaned_data["memory_limit"]
        self.instance.memory_limit_bytes = round(limit * GIB) if limit else None
        return super().save(commit)


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("named", "memory", "loaded", "activity", "to_attach")
    form = HostForm
    ordering = ("pk",)
    fields = (
        "shown", "queue", "state", "memory", "memory_limit", "loaded", "activity", "programs", "to_attach",
    )  # fmt: skip
    readonly_fields = ("shown", "queue", "state", "memory", "loaded", "activity", "programs", "to_attach")

    def get_urls(self) -> list[Any]:
        door = self.admin_site.admin_view
        return [path("live/", door(self.live), name="models_admin_host_live"), *super().get_urls()]

    def live(self, request: HttpRequest) -> HttpResponse:
        """The moving pieces of the board."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        hosts_now = _with_activity(self.get_queryset(request))
        cells = [cell(host) for host in hosts_now for cell in (self.named, self.memory, self.loaded, self.activity)]
        return HttpResponse("".join(cells))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Host]:
        return hosts.with_silence().prefetch_related("engines")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        found = super().get_changelist_instance(request)
        found.result_list = _with_activity(found.result_list)
        return found

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        title = capfirst(str(self.opts.verbose_name_plural))
        return super().changelist_view(request, {"title": title, **(extra_context or {})})

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A host is not filled in: it joins by a code, which this page alone ever shows."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        context: dict[str, Any] = {"title": gettext("Let a machine join"), "opts": self.opts}
        context |= {**self.admin_site.each_context(request), "obstacle": ""}
        if not host_access.is_reachable():
            context["obstacle"] = joining.unreachable()
        if request.method == "POST":
            code = joining.make_code(by=request.user.get_username())
            site = joining.site_url(request.build_absolute_uri("/").rstrip("/"))
            context |= {
                "command": joining.command_line(code, site),
                "leads_home": joining.leads_home(site) if host_access.leads_home(site) else "",
            }
        return TemplateResponse(request, f"{TEMPLATES}/join.html", context)

    def has_delete_permission(self, request: HttpRequest, obj: Host | None = None) -> bool:
        return super().has_delete_permission(request, obj) and (obj is None or obj.name != fleet.LOCAL_HOST)

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """What its row takes along is its own; what keeps it from going is told in words."""
        why = [reason for host in objs if (reason := joining.why_not_removed(host))]
        return [fleet.shown_name(host) for host in objs], {}, set(), why

    def delete_view(self, request: HttpRequest, object_id: str, extra_context: Any = None) -> HttpResponse:
        try:
            page = super().delete_view
            return row_locks.again_after_conflict(lambda: page(request, object_id, extra_context))
        except JoinError as error:  # it took up work since the page was asked for
            self.message_user(request, str(error), messages.ERROR)
            return HttpResponseRedirect(reverse("admin:models_admin_host_changelist"))

    def delete_model(self, request: HttpRequest, obj: Host) -> None:
        joining.remove(obj, by=request.user.get_username())

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Host]) -> None:
        for host in queryset:
            try:
                row_locks.again_after_conflict(partial(joining.remove, host, by=request.user.get_username()))
            except JoinError as error:
                self.message_user(request, str(error), messages.ERROR)

    @admin.display(description=_("Host"), ordering="name")
    def named(self, host: Host) -> SafeString:
        return _cell("name", host, view=_view(host), programs=_programs(_view(host)))

    @admin.display(description=_("Name"))
    def shown(self, host: Host) -> str:
        return fleet.shown_name(host)

    @admin.display(description=_("State"))
    def state(self, host: Host) -> SafeString:
        return _cell("seen", host, view=_view(host))

    @admin.display(description=_("Memory"))
    def memory(self, host: Host) -> SafeString:
        view = _view(host)
        return _cell("memory", host, cards=_cards(view), view=view, **_disk(view.told))

    @admin.display(description=_("In memory"))
    def loaded(self, host: Host) -> SafeString:
        return _cell("loaded", host, view=_view(host))

    @admin.display(description=_("Answers"))
    def activity(self, host: Host) -> SafeString:
        now = getattr(host, "now", None) or _with_activity([host])[0].now
        return _cell("activity", host, now=now)

    @admin.display(description=_("Programs"))
    def programs(self, host: Host) -> str:
        launched = (host_view.engine_name(engine) for engine in host.engines.all() if engine.is_launched)
        return listed(dict.fromkeys((_programs(_view(host)), *launched))) or "–"

    @admin.display(description=_("Found, not attached"))
    def to_attach(self, host: Host) -> SafeString:
        return _cell("found", host, found=hosts.not_attached(host))


def _with_activity(found: Iterable[Host]) -> list[Any]:
    """Read once for all rows."""
    activities, rows = activity.by_host(), list(found)
    for host in rows:
        host.now = activities.get(host.pk, activity.Activity())  # type: ignore[attr-defined]
    return rows


def _cell(name: str, host: Host, **context: Any) -> SafeString:
    """Named, so that the page finds it when it is fetched again."""
    inner = render_to_string(f"{TEMPLATES}/_{name}.html", {"host": host, **context})
    return format_html('<div data-live="host-{}-{}">{}</div>', host.pk, name, inner)


def _view(host: Host) -> HostView:
    """Reckoned once for all columns of a row."""
    kept: HostView | None = getattr(host, "view", None)
    if kept is None:
        kept = host.view = host_view.of(host)  # type: ignore[attr-defined]
    return kept


def _cards(view: HostView) -> list[dict[str, Any]]:
    """Each bar with what its card tells beside it; a machine without cards has one bar of its own memory."""
    told = view.told.gpus if view.told else ()
    sensors = [_sensors(card) for card in told] or [""]
    return [{"bar": bar, "sensors": text} for bar, text in zip(view.bars, sensors, strict=False)]


def _sensors(card: GpuCard) -> str:
    watts = f"{card.power_watts}" if card.power_watts is not None else ""
    if watts and card.power_limit_watts:
        watts = gettext("%(watts)s of %(limit)d") % {"watts": watts, "limit": card.power_limit_watts}
    parts = (
        f"{card.temperature_celsius} °C" if card.temperature_celsius is not None else "",
        f"{watts} W" if watts else "",
        gettext("%(share)d %% busy") % {"share": card.utilisation_percent}
        if card.utilisation_percent is not None
        else "",
    )
    return listed(parts)


def _programs(view: HostView) -> str:
    told = view.told.programs if view.told else ()
    return listed(f"{program.name} {program.version}".strip() for program in told)


def _disk(told: Inventory | None) -> dict[str, Any]:
    total = told.disk_total_bytes if told else None
    free = (told.disk_free_bytes or 0) if told else 0
    if not total:
        return {}
    used = round(100 * (total - free) / total)
    return {"disk_free": gigabytes(free), "disk_total": gigabytes(total), "disk_percent": used}
