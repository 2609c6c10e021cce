"""Asks the running site whether an answer can be had."""

from __future__ import annotations

import http.client
import json
import ssl
from typing import Any

from r1web.supervisor.site import Site

TIMEOUT_SECONDS = 5.0


def is_ready(site: Site, *, has_engine: bool) -> bool:
    """Whether a question would be answered; without an engine, whether the page is there."""
    return _status(site, "/healthz" if has_engine else "/livez") == http.HTTPStatus.OK


def open_checks(site: Site) -> str:
    """Names of the checks that have not passed, for a person."""
    try:
        _, body = _get(site, "/healthz")
        checks: dict[str, Any] = json.loads(body)
    except (OSError, http.client.HTTPException, ValueError):
        return "the web server does not answer"
    listed = checks.get("checks", checks)
    waiting = [name for name, value in listed.items() if value in (False, None, "waiting", "missing")]
    return ", ".join(waiting) or body.decode(errors="replace")[:200]


def _status(site: Site, path: str) -> int:
    try:
        return _get(site, path)[0]
    except (OSError, http.client.HTTPException):
        return 0


def _get(site: Site, path: str) -> tuple[int, bytes]:
    host, port = site.arguments.host, site.arguments.port
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # nosec B104
    line: http.client.HTTPConnection
    if site.arguments.tls:
        # Our own certificate on our own machine: there is nobody else to vouch for it.
        line = http.client.HTTPSConnection(reachable, port, timeout=TIMEOUT_SECONDS, context=_unverified())
    else:
        line = http.client.HTTPConnection(reachable, port, timeout=TIMEOUT_SECONDS)
    try:
        line.request("GET", path, headers=_headers(port))
        answer = line.getresponse()
        return answer.status, answer.read()
    finally:
        line.close()


def _headers(port: int) -> dict[str, str]:
    # Behind a proxy that speaks https, plain requests are sent there; this one speaks in its name.
    return {"Host": f"localhost:{port}", "X-Forwarded-Proto": "https"}


def _unverified() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
