"""`bin/manage rotate_secret_key`: a new secret for the site, and engine keys encrypted anew under it. In two steps.

Processes that run know only the secrets they started with: between the steps they are started again.
"""

from __future__ import annotations

import os
from pathlib import Path
from secrets import token_urlsafe
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.engines import secrets
from models_admin.models import Engine, Host


class Command(BaseCommand):
    help = "Give the site a new secret key. Then start it again, and finish with --finish."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--finish", action="store_true", help="encrypt engine keys anew and forget older secrets")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["finish"]:
            _write([token_urlsafe(48), settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS])
            self.stdout.write(_("Added. Start the site again, then: bin/manage rotate_secret_key --finish"))
            return
        try:
            count = _encrypt_anew()
        except secrets.SecretUnreadable as error:
            raise CommandError(_("A stored key of an engine can't be read any more; enter it again first.")) from error
        _write([settings.SECRET_KEY])
        self.stdout.write(
            _("Done: %(count)d engine keys are encrypted anew, older secrets are forgotten.") % {"count": count}
        )


def _encrypt_anew() -> int:
    with transaction.atomic():
        engines = [engine for engine in Engine.objects.select_for_update() if engine.secret]
        for engine in engines:
            engine.secret = secrets.renew(engine.secret)
        Engine.objects.bulk_update(engines, ["secret"])
        hosts = [host for host in Host.objects.select_for_update() if host.secret]
        for host in hosts:
            host.secret = secrets.renew(host.secret)
        Host.objects.bulk_update(hosts, ["secret"])
    return len(engines)


def _write(keys: list[str]) -> None:
    path: Path = settings.SECRET_KEY_FILE
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write("\n".join(keys) + "\n")
        file.flush()
        os.fsync(file.fileno())  # what it replaces is the only copy
    fresh.replace(path)
