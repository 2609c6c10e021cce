"""Django's entry for the site itself."""

from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "r1web"

    def ready(self) -> None:
        # Makes it the current Celery application in every process, so that tasks can be sent by name.
        from r1web import celery  # noqa: F401
