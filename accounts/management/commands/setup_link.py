"""Prints the path of a new one-time link that makes the first admin; nothing where there is one."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand

from accounts import setup_link


class Command(BaseCommand):
    help = "Prints the path of a new one-time link that makes the first admin; nothing where there is one."

    def handle(self, *_args: Any, **_options: Any) -> str:
        return setup_link.make()
