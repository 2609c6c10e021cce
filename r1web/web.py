"""Daphne on uvloop: `python -m r1web.web -b HOST -p PORT`. Daphne's own flags apply."""

from __future__ import annotations

import asyncio
import http
import os
import re
import sys
from typing import Any

LINK_TOKEN = re.compile("/(setup|join)/[^/?]+/?")


def main() -> None:
    import uvloop

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")
    # Daphne installs Twisted's asyncio reactor on the loop that this policy makes.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface
    from daphne.server import Server
    from twisted.internet import reactor as twisted_reactor
    from twisted.web.http import RESPONSES

    # ASGI gives no phrase, and Twisted knows none for what came after RFC 2616, such as 429.
    for status in http.HTTPStatus:
        RESPONSES.setdefault(status.value, status.phrase.encode())
    reactor: Any = twisted_reactor
    reactor.addSystemEventTrigger("before", "shutdown", _say_bye)
    command_line = CommandLineInterface()
    command_line.server_class = type("Server", (WithoutTokens, Server), {})
    command_line.run([*sys.argv[1:], "r1web.asgi:application"])


class WithoutTokens:
    """Keeps set-up links and invitations out of the access log: whoever reads the log could use them."""

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        told = LINK_TOKEN.sub(r"/\1/***/", str(details["path"]))
        super().log_action(protocol, action, {**details, "path": told})  # type: ignore[misc]


def _say_bye() -> object:
    """Tell every socket that the site restarts, before Daphne closes them: pages come back with jitter."""
    from twisted.internet.defer import Deferred

    from chat import sessions

    if not sessions.shared.cache_info().currsize:
        return None
    return Deferred.fromFuture(asyncio.ensure_future(sessions.shared().say_bye()))


if __name__ == "__main__":
    main()
