"""The page on which a new box is set up, for administrators; for everybody else there is no such page."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.http.request import split_domain_port
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from accounts import invitations, limit_presets
from models_admin.engines import fleet
from models_admin.family import catalogue
from models_admin.first import first_found, first_run, first_words
from models_admin.first.first_models import Proposal
from models_admin.first.first_run import FirstRunError, Step
from models_admin.models import FirstRun

LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}


@login_required
@never_cache
@require_http_methods(["GET", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """A POST does one thing: `do` names it, `value` says with what."""
    _require_admin(request)
    if request.method != "POST":
        return _page(request)
    act = ACTIONS.get(request.POST.get("do", ""))
    if act is None:
        return _page(request, problem=_("There is no such step."), status=400)
    try:
        return act(request, request.POST.get("value", ""))
    except FirstRunError as error:
        return _page(request, problem=str(error), status=409)


@login_required
@never_cache
@require_GET
def live(request: HttpRequest) -> HttpResponse:
    """What changes by itself: the engines found, how far the model is, who answers."""
    _require_admin(request)
    return render(request, "first_run/_live.html", _moving(first_run.row()))


def _attach(request: HttpRequest, value: str) -> HttpResponse:
    first_run.ask_attach(value, by=request.user.get_username())
    return redirect("first-run")


def _model(request: HttpRequest, value: str) -> HttpResponse:
    if catalogue.find(value) is None:
        raise FirstRunError(_("Choose one of the models."))
    first_run.choose(first_run.wish_for(value), by=request.user.get_username())
    return redirect("first-run")


def _limits(request: HttpRequest, value: str) -> HttpResponse:
    preset = limit_presets.find(value)
    if preset is None:
        raise FirstRunError(_("Choose one of the three."))
    first_run.limit(preset, by=request.user.get_username(), time_zone=_time_zone(request))
    return redirect("first-run")


def _invite(request: HttpRequest, value: str) -> HttpResponse:
    """No redirect: only the hash of the link is kept, so that it is shown this once."""
    made = first_run.invite(by=request.user.get_username())
    return _page(request, link=request.build_absolute_uri(made.path))


def _skip(request: HttpRequest, value: str) -> HttpResponse:
    if value not in set(map(str, Step)):
        raise FirstRunError(_("There is no such step."))
    first_run.skip(Step(value))
    return redirect("first-run")


def _finish(request: HttpRequest, value: str) -> HttpResponse:
    first_run.finish()
    return redirect("/")


ACTIONS: dict[str, Callable[[HttpRequest, str], HttpResponse]] = {
    "attach": _attach,
    "model": _model,
    "limits": _limits,
    "invite": _invite,
    "skip": _skip,
    "finish": _finish,
}


def _require_admin(request: HttpRequest) -> None:
    if not request.user.is_superuser:
        raise Http404


def _page(request: HttpRequest, *, problem: str = "", link: str = "", status: int = 200) -> HttpResponse:
    run = first_run.row()
    found = first_run.proposal(fleet.local_host())
    context = {
        **_moving(run),
        "has_demo": bool(fleet.warm_deployments(fleet.DEMO_MODEL)),
        "problem": problem,
        "link": link,
        "is_loopback": split_domain_port(request.get_host())[0] in LOOPBACK,
        "looks": _looks(run),
        "lead": first_words.model_lead(found),
        "options": _options(run, found),
        "presets": [(each, *first_words.preset(each)) for each in limit_presets.PRESETS],
        "invitation": invitations.still_open().first(),
        "people": invitations.PEOPLE,
        "days": invitations.DAYS,
    }
    return render(request, "first_run/page.html", context, status=status)


def _moving(run: FirstRun) -> dict[str, Any]:
    return {
        "run": run,
        "lines": first_found.lines(fleet.local_host(), run),
        "progress": first_words.progress(run),
        "ready": first_words.ready_lead(run),
    }


def _looks(run: FirstRun) -> dict[str, str]:
    """Each step's mark: done, now, skipped or ''."""
    done, now = first_run.done(run), first_run.now(run)
    return {
        step: "done" if step in done else "skipped" if step in run.skipped else "now" if step == now else ""
        for step in Step
    }


def _options(run: FirstRun, found: Proposal | None) -> list[dict[str, Any]]:
    """The chosen one is checked, before that the suggested one."""
    if found is None:
        return []
    wished = run.model_name if any(each.ref == run.model_name for each in found.options) else ""
    return [
        {
            "option": each,
            "name": first_words.name(each),
            "verdict": first_words.verdict(each),
            "about": first_words.about(each, first_words.memory_of(found)),
            "is_checked": each.ref == wished if wished else each.is_suggested,
        }
        for each in found.options
    ]


def _time_zone(request: HttpRequest) -> str:
    """The admin's: a day of the limit is a day where he is. His browser tells it in a cookie."""
    told = request.COOKIES.get("time_zone", "")
    try:
        return zoneinfo.ZoneInfo(told).key or settings.TIME_ZONE
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return settings.TIME_ZONE
