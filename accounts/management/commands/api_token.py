"""Makes, lists and revokes keys of scripts."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import tokens
from accounts.models import ApiToken, User


class Command(BaseCommand):
    help = "Makes, lists and revokes API tokens. `create` prints the token alone; it cannot be shown again."

    def add_arguments(self, parser: ArgumentParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        create = verbs.add_parser("create", help="prints a new token alone on standard output")
        create.add_argument("user")
        create.add_argument("--name", required=True, help="must not be personal: it stays in the ledger")
        verbs.add_parser("list", help="one line a token").add_argument("user", nargs="?", default="")
        revoke = verbs.add_parser("revoke", help="refuses the token from now on")
        revoke.add_argument("prefix", help="how the token begins, as `list` shows it")

    def handle(self, *_args: Any, verb: str, **options: Any) -> None:
        match verb:
            case "create":
                self._create(options["user"], options["name"])
            case "list":
                self._list(options["user"])
            case "revoke":
                self._revoke(options["prefix"])

    def _create(self, username: str, name: str) -> None:
        user = User.objects.filter(username=username, is_active=True).first()
        if user is None:
            raise CommandError(f"There is no active user {username!r}.")
        if not name.strip() or len(name) > 80:
            raise CommandError("The name needs 1 to 80 characters.")
        _token, secret = tokens.create(user, name)
        self.stdout.write(secret)

    def _list(self, username: str) -> None:
        rows = ApiToken.objects.select_related("user").order_by("user__username", "created_at")
        for row in rows.filter(user__username=username) if username else rows:
            state = "revoked" if row.revoked_at else "in use"
            self.stdout.write(f"{row.prefix}\t{row.user.username}\t{row.name}\t{state}\t{row.created_at:%Y-%m-%d}")

    def _revoke(self, prefix: str) -> None:
        found = list(ApiToken.objects.filter(prefix=prefix, revoked_at__isnull=True)[:2])
        if len(found) != 1:
            raise CommandError(f"{len(found) or 'No'} active tokens begin with {prefix!r}; name exactly one.")
        tokens.revoke(found[0])
