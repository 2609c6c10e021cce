"""Is the site able to answer? From tables and one ping, never by a generation, so a busy card stays in service."""

from __future__ import annotations

from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache

from live import doorbell
from models_admin.engines import fleet


@never_cache
def livez(request: HttpRequest) -> HttpResponse:
    return JsonResponse({"status": "ok"})


@never_cache
def healthz(request: HttpRequest) -> HttpResponse:
    checks = {"redis": doorbell.is_reachable(), **_database_checks()}
    is_ready = all(checks.values())
    return JsonResponse({"status": "ok" if is_ready else "starting", **checks}, status=200 if is_ready else 503)


def _database_checks() -> dict[str, bool]:
    try:
        return {
            "database": fleet.can_write(),
            "runner": fleet.has_live_worker(),
            "model": fleet.has_deployment_to_ask(),
        }
    except DatabaseError:
        return {"database": False, "runner": False, "model": False}
