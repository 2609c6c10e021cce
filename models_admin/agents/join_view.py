"""The address at which a machine joins with its code. No session, no cookie: the code is all that counts."""

from __future__ import annotations

import logging
from urllib.parse import urlsplit

import msgspec
from axes.helpers import get_client_ip_address
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from live import access
from live.redis import RedisError
from models_admin.agents import joining
from models_admin.agents.joining import JoinError, Wish

log = logging.getLogger(__name__)
MOST_BYTES = 4096
TRIES, TRY_SECONDS = 10, 60


class _Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    code: str
    name: str
    address: str = ""


@csrf_exempt  # nobody's cookie opens anything here
@never_cache
@require_POST
def join(request: HttpRequest) -> HttpResponse:
    """POST {code, name, address}: the membership, or {"error": sentence}."""
    body = request.read(MOST_BYTES + 1)
    if len(body) > MOST_BYTES:
        return _refused(_("That is too long for a join."), 413)
    try:
        told = msgspec.json.decode(body, type=_Told)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _refused(_("That is no join: its words are code, name and address."), 400)
    try:
        if access.count_try(str(get_client_ip_address(request)), seconds=TRY_SECONDS) > TRIES:
            return _refused(_("Too many tries from this address: wait a minute."), 429)
    except RedisError:
        return _refused(_("The site's Redis does not answer: nobody can join until it does."), 503)
    return _join(told, urlsplit(f"//{request.get_host()}").hostname or "")


def _join(told: _Told, asked_as: str) -> HttpResponse:
    try:
        member = joining.join(Wish(told.code, told.name, told.address, asked_as))
    except JoinError as error:
        log.warning("a machine was not let in: %s", error)
        return _refused(str(error), 403)
    log.info("%s joined", member.name)
    return HttpResponse(msgspec.json.encode(member), content_type="application/json")


def _refused(why: str, status: int) -> HttpResponse:
    return JsonResponse({"error": why}, status=status, json_dumps_params={"ensure_ascii": False})
