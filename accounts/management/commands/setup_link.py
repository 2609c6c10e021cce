"""Prints the path of a new one-time link that makes the first admin; nothing where there is one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import setup_link

NOT_NEEDED = "There is an active administrator already, so no link is made."


class Command(BaseCommand):
    help = "Prints the path of a new one-time link that makes the first admin; nothing where there is one."

    def handle(self, *_args: Any, **_options: Any) -> str:
        link = setup_link.make()
        # Alone on standard output, where bin/up and scripts read it.
        self.stderr.write(
            "Put the site's address before it, as in http://localhost:8000/setup/…" if link else NOT_NEEDED
        )
        return link
