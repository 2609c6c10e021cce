"""The chat page. Every row comes through the door `history`."""

from __future__ import annotations

import zoneinfo
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBadRequest, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from accounts.models import User
from chat import alternatives, box, estimating, foretelling, generation, history, offer, page, picker, ready_wishes
from chat.estimating import EFFORTS
from chat.foretelling import Draft, Foretold
from chat.models import Conversation, Generation

TITLE_LENGTH = 200


@login_required
@never_cache
@require_GET
def new_chat(request: HttpRequest) -> HttpResponse:
    """The empty page; `?model=ID` chooses the model."""
    return _page(request, None, request.GET.get("model", ""))


@login_required
@never_cache
@require_GET
def conversation(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    found = _find(request, conversation_id)
    return _page(request, found, found.model_key)


@login_required
@never_cache
@require_GET
def conversations(request: HttpRequest) -> HttpResponse:
    """The list, and how full the box is."""
    _use_time_zone(request)
    return render(
        request, "chat/_conversations_live.html", {"groups": page.groups(_user(request)), "conversation": None}
    )


@login_required
@never_cache
@require_GET
def models(request: HttpRequest) -> HttpResponse:
    """The family's cards, and what of it this site offers now."""
    _use_time_zone(request)
    here, elsewhere = offer.offers(_user(request))
    context = {"here": here, "elsewhere": elsewhere, "groups": page.groups(_user(request)), "conversation": None}
    return render(request, "chat/models.html", context)


@login_required
@never_cache
@require_GET
def choices(request: HttpRequest) -> HttpResponse:
    """The rows of the picker alone; `?model=ID` is the one that is chosen."""
    _use_time_zone(request)
    models = picker.models(_user(request))
    context = {"models": models, "model": picker.chosen(models, request.GET.get("model", ""))}
    return render(request, "chat/_choices.html", context)


@login_required
@never_cache
@require_GET
def others(request: HttpRequest) -> HttpResponse:
    """To keep waiting for the model that `?generation=ID` waits for, or to ask a warm one that would answer earlier."""
    found = alternatives.choices(_user(request), request.GET.get("generation", ""))
    return render(request, "chat/_others.html", {"choices": found})


@login_required
@never_cache
@require_GET
def foretold(request: HttpRequest) -> HttpResponse:
    """What a question would take: `?model=ID&think=&effort=`, `&conversation=`, and its Han and other characters."""
    asked = request.GET
    # The text itself stays on the page: as many characters count as much.
    tokens = estimating.tokens_in("中" * _count(asked.get("han")) + "x" * _count(asked.get("others")))
    effort = asked.get("effort", "")
    think = "off" if asked.get("think") == "off" else effort if effort in EFFORTS else "auto"
    draft = Draft(asked.get("model", "").replace("\x00", "")[:200], think, tokens, _uuid(asked.get("conversation")))
    return render(request, "chat/_foretold.html", {"foretold": foretelling.foretold(_user(request), draft)})


@login_required
@never_cache
@require_GET
def ready(request: HttpRequest) -> HttpResponse:
    """The lines about models that have got ready."""
    return render(request, "chat/_ready.html", {"ready": ready_wishes.ready_for(_user(request))})


@login_required
@require_POST
def wish_ready(request: HttpRequest) -> HttpResponse:
    """Tell this person when `model` is ready; 409 where he waits for too many already."""
    try:
        ready_wishes.wish(_user(request), request.POST.get("model", ""))
    except ready_wishes.NotOffered:
        raise Http404 from None
    except ready_wishes.TooMany:
        return HttpResponse(status=409)
    return HttpResponse(status=204)


@login_required
@require_POST
def forget_ready(request: HttpRequest) -> HttpResponse:
    """He does not wait for `model`, or has read that it is ready."""
    ready_wishes.forget(_user(request), request.POST.get("model", ""))
    return HttpResponse(status=204)


@login_required
@never_cache
@require_GET
def the_box(request: HttpRequest) -> HttpResponse:
    """What the machines do now."""
    _use_time_zone(request)
    seen = box.box(_user(request))
    context = {"box": seen, "lead": box.lead(seen), "groups": page.groups(_user(request)), "conversation": None}
    return render(request, "chat/box.html", context)


@login_required
@never_cache
@require_GET
def box_live(request: HttpRequest) -> HttpResponse:
    """The same without what stands around it."""
    _use_time_zone(request)
    seen = box.box(_user(request))
    return render(request, "chat/_box_live.html", {"box": seen, "lead": box.lead(seen)})


@login_required
@never_cache
@require_GET
def thread(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """The messages alone."""
    return render(request, "chat/_thread.html", {"turns": page.turns(_find(request, conversation_id))})


@login_required
@require_POST
def rename(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    title = " ".join(request.POST.get("title", "").replace("\x00", "").split())[:TITLE_LENGTH]
    if not title:
        return HttpResponseBadRequest()
    found = _find(request, conversation_id)
    history.for_user(_user(request)).filter(pk=found.pk).update(title=title, is_named=True)
    return HttpResponse(status=204)


@login_required
@require_POST
def local_only(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Keep a conversation from clouds (`on` = 1), or let it go there again (0)."""
    found = _find(request, conversation_id)
    wanted = request.POST.get("on") == "1"
    history.for_user(_user(request)).filter(pk=found.pk).update(is_local_only=wanted)
    return HttpResponse(status=204)


@login_required
@require_POST
def delete(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    """Into the trash; `restore` takes it out again. Nobody can stop what he no longer sees, so it is stopped here."""
    found = _find(request, conversation_id)
    history.for_user(_user(request)).filter(pk=found.pk).update(deleted_at=timezone.now())
    for live in Generation.objects.filter(message__conversation=found, state__in=Generation.LIVE):
        generation.stop_by_id(live.pk)
    return HttpResponse(status=204)


@login_required
@require_POST
def restore(request: HttpRequest, conversation_id: UUID) -> HttpResponse:
    rows = Conversation.objects.filter(user=_user(request), pk=conversation_id, deleted_at__isnull=False)
    if not rows.update(deleted_at=None):
        raise Http404
    return HttpResponse(status=204)


@login_required
@require_POST
def version(request: HttpRequest, conversation_id: UUID) -> HttpResponseRedirect:
    """Shows another version of an answer, with what followed it."""
    found = _find(request, conversation_id)
    leaf = page.leaf_below(found, request.POST.get("message", ""))
    if leaf is None:
        raise Http404
    history.for_user(_user(request)).filter(pk=found.pk).update(active_leaf=leaf)
    return redirect("conversation", conversation_id)


def _page(request: HttpRequest, found: Conversation | None, model_key: str) -> HttpResponse:
    _use_time_zone(request)
    models = picker.models(_user(request))
    context: dict[str, Any] = {
        "conversation": found,
        "groups": page.groups(_user(request)),
        "turns": page.turns(found) if found else [],
        "models": models,
        "model": picker.chosen(models, model_key),
        "has_cloud": any(model.is_cloud for model in models),
        "starters": page.starters(),
        "foretold": _foretold(_user(request), picker.chosen(models, model_key), found),
        "blank": page.BLANK,
    }
    return render(request, "chat/page.html", context)


def _foretold(user: User, model: picker.Model | None, found: Conversation | None) -> Foretold:
    """For an empty field."""
    if model is None:
        return Foretold()
    return foretelling.foretold(user, Draft(model.key, conversation=found.pk if found else None))


def _count(told: str | None) -> int:
    """Characters of a draft, not more than a question may have."""
    is_number = told is not None and told.isascii() and told.isdigit() and len(told) < 10
    return min(int(told or 0), generation.TEXT_LIMIT) if is_number else 0


def _uuid(told: str | None) -> UUID | None:
    try:
        return UUID(told) if told else None
    except ValueError:
        return None


def _find(request: HttpRequest, conversation_id: UUID) -> Conversation:
    try:
        return history.conversation(_user(request), conversation_id)
    except history.NotFound:
        raise Http404 from None


def _user(request: HttpRequest) -> User:
    assert isinstance(request.user, User)  # login_required stands before
    return request.user


def _use_time_zone(request: HttpRequest) -> None:
    """The browser tells its zone in a cookie: 'Today' is the reader's day."""
    try:
        timezone.activate(zoneinfo.ZoneInfo(request.COOKIES.get("time_zone", "")))
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        timezone.deactivate()
