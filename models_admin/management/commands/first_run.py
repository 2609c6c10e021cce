"""`bin/manage first_run --no-input`: what the page that sets up a new box does, for scripts. Doing it again is safe."""

from __future__ import annotations

import asyncio
import getpass
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from accounts import limit_presets
from models_admin.agents.inspection import Inspector
from models_admin.engines import fleet
from models_admin.first import first_found, first_run, first_wishes, first_words
from models_admin.first.first_models import Wish
from models_admin.first.first_run import FirstRunError, Step
from models_admin.hosts import hosts

NAMES = [preset.name for preset in limit_presets.PRESETS]


class Command(BaseCommand):
    help = "Attach the engines that are found, pull the largest R1 that fits and load it, limit and invite people."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--no-input", action="store_true", help="needed: with questions it is done in the browser")
        parser.add_argument("--model", default="", help="instead of the largest that fits; names as in add_model")
        parser.add_argument("--no-model", action="store_true", help="engines, limits and people only")
        parser.add_argument("--limits", choices=NAMES, help="per person: none, for a team, for a class")
        parser.add_argument("--invite", action="store_true", help="print a link for 20 people and 7 days")
        parser.add_argument("--json", action="store_true", help="one JSON object instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        if not options["no_input"]:
            raise CommandError(_("Open /setup/box/ of the site as an administrator, or ask with --no-input."))
        _look()
        told: dict[str, Any] = {"engines": _engines()}
        told["model"] = None if options["no_model"] else _model(options["model"])
        told["limits"] = _limits(options["limits"])
        told["invitation"] = first_run.invite(by=_person()).path if options["invite"] else ""
        is_well = not any(part["problem"] for part in (*told["engines"], told["model"] or {"problem": ""}))
        if is_well:
            first_run.finish()
        self._tell(told, as_json=options["json"])
        if not is_well:
            raise SystemExit(1)

    def _tell(self, told: dict[str, Any], *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(told, ensure_ascii=False))
            return
        for engine in told["engines"]:
            self.stdout.write(engine["problem"] or _("Attached %(kind)s at %(url)s.") % engine)
        if told["model"]:
            self.stdout.write(told["model"]["problem"] or _("%(name)s: %(state)s.") % told["model"])
        if told["limits"]:
            self.stdout.write(_("Limits: %(name)s.") % {"name": told["limits"]})
        if told["invitation"]:
            self.stdout.write(_("Invitation: %(path)s (20 people, 7 days)") % {"path": told["invitation"]})


def _look() -> None:
    """Before the site's first start nobody has told of this machine."""
    if hosts.seen(fleet.local_host()) is None:
        hosts.note_local(asyncio.run(Inspector(Path(settings.MODELS_DIR)).read()))


def _engines() -> list[dict[str, str]]:
    found = first_found.to_attach(fleet.local_host())
    return [{"url": each.url, "kind": each.kind, "problem": first_wishes.attach_one(each)} for each in found]


def _model(name: str) -> dict[str, str] | None:
    """None where one is served already and nobody named another."""
    run = first_run.row()
    if not name and not run.model_name and Step.MODEL in first_run.done(run):
        return None
    try:
        first_run.note_choice(_wish(name or run.model_name), by=_person())
    except FirstRunError as error:
        return {"name": name, "state": "", "problem": str(error)}
    first_wishes.add_and_pull()
    run = first_run.row()
    seen = first_words.progress(run)
    return {"name": run.model_name, "state": seen.about if seen else "", "problem": first_words.problem(run)}


def _wish(name: str) -> Wish:
    """What was named or chosen before, else the largest that fits. Raises FirstRunError."""
    if name:
        return first_run.wish_for(name)
    found = first_run.proposal(fleet.local_host())
    if found is None or found.suggested is None:
        raise FirstRunError(first_words.model_lead(found))
    return found.suggested.wish


def _limits(name: str | None) -> str:
    preset = limit_presets.find(name or "")
    if preset is not None:
        first_run.limit(preset, by=_person(), time_zone=settings.TIME_ZONE)
    return first_run.row().limits


def _person() -> str:
    """Whoever sits at the machine, as its system calls him."""
    try:
        return f"{getpass.getuser()} (bin/manage)"
    except (KeyError, OSError):
        return "bin/manage"
