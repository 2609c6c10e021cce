"""The Plan page: what a pull would need and whom it would touch; then pulls to one or several hosts, and warms."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, QueryDict
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.views.decorators.http import require_GET, require_http_methods

from models_admin.models import CatalogueModel, Host
from models_admin.pages import model_verbs, model_work, plan_view, verb_view
from models_admin.pages.launch_form import LaunchForm
from models_admin.pages.model_verbs import VerbRefused
from models_admin.pages.plan_view import Wish
from models_admin.pulls import pull_times

TEMPLATES = "admin/models_admin/plan"


@require_http_methods(["GET", "HEAD", "POST"])
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Wants to be wrapped in the admin's own door."""
    model = _model(request, pk)
    form = LaunchForm(model, *_filled(request, model))
    if not form.is_valid():
        return _page(request, model, form, None)
    wish = Wish.of(form.cleaned_data)
    if request.method == "POST" and _order(request, wish):
        return HttpResponseRedirect(f"{reverse('admin:models_admin_plan', args=[pk])}?{_kept(request, form)}")
    return _page(request, model, form, wish)


@require_GET
def live(request: HttpRequest, pk: int) -> HttpResponse:
    """The pulls under way."""
    _model(request, pk)
    return TemplateResponse(request, f"{TEMPLATES}/_pulls.html", {"pulls": model_work.open_pulls(request.user)})


def _order(request: HttpRequest, wish: Wish) -> bool:
    """Whether anything was ordered. Each host for itself: what one can't take, another may."""
    hosts = Host.objects.filter(pk__in=[each for each in request.POST.getlist("host") if each.isdecimal()])
    if not hosts:
        messages.warning(request, gettext("Choose a host first."))
    ordered = False
    for host in hosts.order_by("pk"):
        try:
            at = pull_times.next_at(request.POST["at"]) if "at" in request.POST else None
            then_warm = "pull_only" not in request.POST and (at is None or model_verbs.may(request.user, "warm"))
            done = model_verbs.have(request.user, wish, host, then_warm=then_warm, not_before=at)
        except (VerbRefused, pull_times.NoTime) as error:
            messages.warning(request, str(error))
        else:
            ordered = True
            messages.success(request, verb_view.told(request, done))
    return ordered


def _page(request: HttpRequest, model: CatalogueModel, form: LaunchForm, wish: Wish | None) -> HttpResponse:
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": gettext("Plan for %(model)s") % {"model": model.name},
        "opts": CatalogueModel._meta,
        "model": model,
        "form": form,
        "plan": plan_view.of(wish) if wish else None,
        "chosen": set(_came(request).getlist("host")),
        "pulls": model_work.open_pulls(request.user),
        "may_pull": model_verbs.may(request.user, "pull"),
        "tonight": pull_times.TONIGHT,
        "may_warm": model_verbs.may(request.user, "warm"),
    }
    return TemplateResponse(request, f"{TEMPLATES}/page.html", context)


def _filled(request: HttpRequest, model: CatalogueModel) -> tuple[Any, ...]:
    """What came with the address or the form, over what is usual."""
    empty = LaunchForm(model)
    usual = {name: field.initial for name, field in empty.fields.items() if field.initial is not None}
    came = _came(request)
    return ({**usual, **{name: came[name] for name in empty.fields if name in came}},)


def _came(request: HttpRequest) -> QueryDict:
    return request.POST if request.method == "POST" else request.GET


def _kept(request: HttpRequest, form: LaunchForm) -> str:
    """What was ordered, as a query: the page shows it again."""
    kept = QueryDict(mutable=True)
    for name in (*form.fields, "host"):
        kept.setlist(name, request.POST.getlist(name))
    return kept.urlencode()


def _model(request: HttpRequest, pk: int) -> CatalogueModel:
    if not request.user.has_perm("models_admin.view_cataloguemodel"):
        raise PermissionDenied
    found = CatalogueModel.objects.filter(pk=pk).first()
    if found is None:
        raise Http404
    return found
