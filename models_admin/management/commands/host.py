"""`bin/manage host code|list|remove`: machines that join as hosts, for scripts and terminals."""

from __future__ import annotations

import getpass
import json
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin.agents import host_access, joining
from models_admin.agents.joining import JoinError
from models_admin.hosts import host_rows
from models_admin.hosts.host_rows import HostRow
from models_admin.models import Host


class Command(BaseCommand):
    help = "Make a one-time code with which a machine joins as a host, list the hosts, remove one."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        code = verbs.add_parser("code", help="a code for one machine, valid for an hour")
        code.add_argument("--site", default="", help="URL under which that machine finds the site")
        verbs.add_parser("list", help="all hosts and when they were last heard of")
        remove = verbs.add_parser("remove", help="forget a host and close Redis to it")
        remove.add_argument("name")
        for verb in verbs.choices.values():
            verb.add_argument("--json", action="store_true", help="JSON instead of words")

    def handle(self, *args: Any, **options: Any) -> None:
        match options["verb"]:
            case "code":
                self._code(options["site"] or joining.site_url(), as_json=options["json"])
            case "list":
                self._list(as_json=options["json"])
            case "remove":
                self._remove(options["name"], as_json=options["json"])

    def _code(self, site: str, *, as_json: bool) -> None:
        code = joining.make_code(by=_person())
        command = joining.command_line(code, site)
        if not host_access.is_reachable():
            self.stderr.write(self.style.WARNING(joining.unreachable()))
        if host_access.leads_home(site):
            self.stderr.write(self.style.WARNING(joining.leads_home(site)))
        if as_json:
            self.stdout.write(json.dumps({"code": code, "command": command}))
            return
        self.stdout.write(_("On the machine that shall join, within an hour:"))
        self.stdout.write(f"  {command}")

    def _list(self, *, as_json: bool) -> None:
        rows = host_rows.all_hosts()
        if as_json:
            self.stdout.write(json.dumps([row.for_programs() for row in rows], ensure_ascii=False))
            return
        for row in rows:
            self.stdout.write(_line(row))

    def _remove(self, name: str, *, as_json: bool) -> None:
        host = Host.objects.filter(name=name).first()
        if host is None:
            raise CommandError(_("No host is called “%(name)s”.") % {"name": name})
        try:
            joining.remove(host, by=_person())
        except JoinError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(json.dumps({"removed": name}) if as_json else _("%(name)s is removed.") % {"name": name})


def _line(row: HostRow) -> str:
    return "  ".join((f"{row.name:<20}", f"{row.shown_state:<14}", row.address or "–", row.cut_off)).rstrip()


def _person() -> str:
    """Whoever sits at the machine, as its system calls him."""
    try:
        return f"{getpass.getuser()} (bin/manage)"
    except (KeyError, OSError):
        return "bin/manage"
