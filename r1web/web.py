"""Daphne on uvloop: `python -m r1web.web -b HOST -p PORT`. Daphne's own flags apply."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any


def main() -> None:
    import uvloop

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")
    # Daphne installs Twisted's asyncio reactor on the loop that this policy makes.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface
    from twisted.internet import reactor as twisted_reactor

    reactor: Any = twisted_reactor
    reactor.addSystemEventTrigger("before", "shutdown", _say_bye)
    CommandLineInterface().run([*sys.argv[1:], "r1web.asgi:application"])


def _say_bye() -> object:
    """Tell every socket that the site restarts, before Daphne closes them: pages come back with jitter."""
    from twisted.internet.defer import Deferred

    from chat import sessions

    if not sessions.shared.cache_info().currsize:
        return None
    return Deferred.fromFuture(asyncio.ensure_future(sessions.shared().say_bye()))


if __name__ == "__main__":
    main()
