"""Where buttons of the admin's pages lead: presses a verb, asks first where something is lost, tells the outcome."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import ObjectDoesNotExist, PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.html import format_html
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from models_admin.pages import model_verbs
from models_admin.pages.model_verbs import VERBS, Done, Undo, VerbRefused

MOST_AT_ONCE = 100


@require_POST
def press(request: HttpRequest, verb: str) -> HttpResponse:
    """Rows by `pk`; back to `next`, a page of this site. Wants to be wrapped in the admin's own door."""
    if verb not in VERBS:
        raise Http404
    if VERBS[verb].loses and not request.POST.get("sure"):
        return ask(request, verb, _rows(request))
    press_all(request, verb, _rows(request))
    return HttpResponseRedirect(next_page(request))


def press_all(request: HttpRequest, verb: str, rows: Sequence[int]) -> None:
    """Each for itself: what one is refused for, another may do."""
    for pk in rows:
        try:
            done = model_verbs.press(request.user, verb, pk, why=request.POST.get("why", "").strip())
        except VerbRefused as error:
            messages.warning(request, str(error))
        except ObjectDoesNotExist:
            messages.warning(request, gettext("It is gone meanwhile."))
        else:
            messages.success(request, told(request, done))


def ask(request: HttpRequest, verb: str, rows: Sequence[int]) -> HttpResponse:
    """What is lost, before it is; reasons go into the audit."""
    if not model_verbs.may(request.user, verb):
        raise PermissionDenied
    try:
        names = [model_verbs.name(model_verbs.find(verb, pk)) for pk in rows]
    except ObjectDoesNotExist:
        raise Http404 from None
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": VERBS[verb].title,
        "verb": verb,
        "asked": VERBS[verb],
        "rows": list(zip(rows, names, strict=True)),
        "next": next_page(request),
    }
    return TemplateResponse(request, "admin/models_admin/verb/sure.html", context)


def told(request: HttpRequest, done: Done) -> str | SafeString:
    """The sentence, with a way to its outcome, or a button of the page's form that takes it back."""
    if done.page is not None:
        address = reverse("admin:models_admin_deployment_change", args=[done.page.deployment])
        return format_html('{} <a href="{}">{}</a>', done.words, address, done.page.label)
    if done.undo is None or not model_verbs.may(request.user, done.undo.verb):
        return done.words
    return with_undo(done.words, done.undo)


def with_undo(words: str, undo: Undo) -> SafeString:
    button = '{} <button class="undo" form="verbs" formaction="{}" name="pk" value="{}">{}</button>'
    return format_html(button, words, address(undo.verb), undo.pk, undo.label)


def address(verb: str) -> str:
    return reverse("admin:models_admin_verb", args=[verb])


def next_page(request: HttpRequest) -> str:
    """Where the person came from, as long as that is a page of the admin."""
    wanted = request.POST.get("next", "") or request.GET.get("next", "")
    is_ours = url_has_allowed_host_and_scheme(wanted, {request.get_host()}, require_https=request.is_secure())
    is_admin = wanted.startswith(reverse("admin:index"))
    return wanted if is_ours and is_admin else reverse("admin:models_admin_cataloguemodel_changelist")


def _rows(request: HttpRequest) -> list[int]:
    found = request.POST.getlist("pk")[:MOST_AT_ONCE]
    if not found or not all(each.isdecimal() and len(each) < 19 for each in found):
        raise Http404
    return [int(each) for each in found]
