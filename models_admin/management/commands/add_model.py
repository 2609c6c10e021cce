"""`bin/manage add_model NAME [--source …]`: make a model's files known, pinned by digest; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin.family import artifacts
from models_admin.family.artifacts import Added, AddError, Checked
from models_admin.models import Artifact


class Command(BaseCommand):
    help = "Add a model by name, pinned to what the name means now. Nothing is downloaded."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "name", nargs="?", default="", help="deepseek-r1:7b, OWNER/REPOSITORY, OWNER/REPOSITORY/FILE.gguf"
        )
        parser.add_argument("--source", choices=Artifact.Source.values, default="", help="default: chosen by the name")
        parser.add_argument("--file", type=Path, help="a GGUF file of this machine instead of a name")
        parser.add_argument("--check-upstream", action="store_true", help="ask what all pinned names mean now")

    def handle(self, *args: Any, **options: Any) -> None:
        if not (options["name"] or options["file"] or options["check_upstream"]):
            raise CommandError(_("Name a model, or ask with --check-upstream."))
        if options["name"]:
            self._add(lambda: artifacts.add(options["name"], source=options["source"]))
        if options["file"]:
            self._add(lambda: artifacts.add_file(options["file"]))
        if options["check_upstream"]:
            self._check()

    def _add(self, add: Callable[[], Added]) -> None:
        try:
            added = add()
        except AddError as error:
            raise CommandError(str(error)) from error
        row = added.artifact
        about = {"model": row.model.name, "ref": row.ref, "pin": _pin(row)}
        known = _("%(model)s is known already: %(ref)s%(pin)s.")
        self.stdout.write((_("Added %(model)s: %(ref)s%(pin)s.") if added.is_new else known) % about)
        if artifacts.has_changed(row):
            self.stderr.write(self.style.WARNING(_changed(row)))

    def _check(self) -> None:
        for checked in artifacts.check_upstream():
            if checked.problem or artifacts.has_changed(checked.artifact):
                self.stderr.write(self.style.WARNING(checked.problem or _changed(checked.artifact)))
            else:
                self.stdout.write(_line(checked))


def _line(checked: Checked) -> str:
    return _("%(ref)s still means %(digest)s.") % {
        "ref": checked.artifact.ref,
        "digest": checked.artifact.digest[:12],
    }


def _changed(row: Artifact) -> str:
    return _("%(ref)s means %(new)s upstream now; here it stays at %(old)s.") % {
        "ref": row.ref,
        "new": row.upstream_digest[:12],
        "old": row.digest[:12],
    }


def _pin(row: Artifact) -> str:
    size = f", {row.bytes / 1e9:.2f} GB" if row.bytes else ""
    return f" @ {row.digest[:12]}{size}" if row.digest else ""
