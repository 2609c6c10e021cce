"""The script door."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse


async def list_models(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)


async def chat_completions(request: HttpRequest) -> HttpResponse:
    return HttpResponse(status=503)
