"""Headers that every answer of the site carries."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase
from django.utils.functional import SimpleLazyObject

NONCE_BYTES = 16
PERMISSIONS = (
    "accelerometer=(), browsing-topics=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), "
    "magnetometer=(), microphone=(), midi=(), payment=(), usb=()"
)
# The admin's jQuery does not stand Trusted Types.
WITHOUT_TRUSTED_TYPES = "/admin/"

GetResponse = Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]


class ContentSecurityPolicy:
    """A strict policy without `unsafe-*`; `request.csp_nonce` lets the one inline import map pass."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: GetResponse) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        nonce = _Nonce()
        request.csp_nonce = SimpleLazyObject(nonce.read)  # type: ignore[attr-defined]
        if iscoroutinefunction(self):
            return self._answer_async(request, nonce)
        response: Any = self.get_response(request)
        return _with_headers(request, response, nonce)

    async def _answer_async(self, request: HttpRequest, nonce: _Nonce) -> HttpResponseBase:
        response: Any = await self.get_response(request)  # type: ignore[misc]
        return _with_headers(request, response, nonce)


class _Nonce:
    """Made when a template asks for it: answers without scripts need none."""

    def __init__(self) -> None:
        self.value = ""

    def read(self) -> str:
        self.value = self.value or secrets.token_urlsafe(NONCE_BYTES)
        return self.value


def policy(request: HttpRequest, nonce: str) -> str:
    """The header's text for this answer; `nonce` is '' where no script was written into the page."""
    scripts = f"script-src 'self' 'nonce-{nonce}'" if nonce else "script-src 'self'"
    parts = [
        "default-src 'none'",
        scripts,
        "style-src 'self'",
        "img-src 'self' data:",
        "font-src 'self'",
        f"connect-src 'self'{_sockets(request)}",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
        "manifest-src 'self'",
    ]
    if not request.path.startswith(WITHOUT_TRUSTED_TYPES):
        parts += ["require-trusted-types-for 'script'", "trusted-types dompurify"]
    return "; ".join(parts)


def _sockets(request: HttpRequest) -> str:
    """Safari before 15.4 does not count a socket to the same host as 'self'."""
    host = request.META.get("HTTP_HOST", "")
    if not host or not set(host) <= _HOST_CHARACTERS:
        return ""
    return f" {'wss' if request.is_secure() else 'ws'}://{host}"


_HOST_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:[]_")


def _with_headers(request: HttpRequest, response: HttpResponseBase, nonce: _Nonce) -> HttpResponseBase:
    response.headers.setdefault("Content-Security-Policy", policy(request, nonce.value))
    response.headers.setdefault("Permissions-Policy", PERMISSIONS)
    response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
    return response
