"""Makes or renews the user `admin` with the password of a file, for unattended use."""

from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import User

NAME = "admin"


class Command(BaseCommand):
    help = "Makes the admin with the password in the first line of a file; run again, it changes nothing but that."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--password-file", required=True, type=Path)

    def handle(self, *_args: Any, password_file: Path, **_options: Any) -> None:
        password = _first_line(password_file)
        user = User.objects.filter(username=NAME).first() or User(username=NAME)
        if user.pk and user.is_active and user.is_superuser and user.is_staff and user.check_password(password):
            return
        user.is_active = user.is_staff = user.is_superuser = True
        user.set_password(password)
        user.save()


def _first_line(file: Path) -> str:
    try:
        password = (file.read_text(encoding="utf-8").splitlines() or [""])[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The password file {file} cannot be read: {error}") from None
    if not password:
        raise CommandError(f"The first line of {file} is empty; it has to hold the password.")
    return password
