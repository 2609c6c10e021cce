"""Asks the running site whether an answer can be had."""

from __future__ import annotations

import http.client
import json
import ssl

from r1web.supervisor.site import Site

TIMEOUT_SECONDS = 5.0


def missing(site: Site) -> set[str]:
    """Names of the checks that have not passed; empty when a question would be answered."""
    try:
        checks = json.loads(_get(site, "/healthz")[1])
    except (OSError, http.client.HTTPException, ValueError):
        return {"web server"}
    return {name for name, value in checks.items() if value is False}


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
