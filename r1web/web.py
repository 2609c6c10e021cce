"""Daphne on uvloop: `python -m r1web.web -b HOST -p PORT`. Daphne's own flags apply."""

from __future__ import annotations

import asyncio
import os
import sys


def main() -> None:
    import uvloop

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")
    # Daphne installs Twisted's asyncio reactor on the loop that this policy makes.
    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())
    from daphne.cli import CommandLineInterface

    CommandLineInterface().run([*sys.argv[1:], "r1web.asgi:application"])


if __name__ == "__main__":
    main()
