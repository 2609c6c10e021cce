"""`bin/manage model VERB NAME`: what the admin's pages do with models' files on hosts, for scripts and terminals."""

from __future__ import annotations

import getpass
import json
import time
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from models_admin import artifacts, fleet, model_addresses, pull_words, pulling
from models_admin.artifacts import AddError
from models_admin.models import Artifact, Host, PullJob
from models_admin.pulling import PullError

POLL_SECONDS = 0.5
MOVES: dict[str, Callable[..., PullJob]] = {
    "pause": pulling.pause,
    "resume": pulling.resume,
    "cancel": pulling.cancel,
    "retry": pulling.retry,
}


class Command(BaseCommand):
    help = "Pull models' files to a host, and pause, resume, cancel or retry that."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb in ("pull", *MOVES):
            one = verbs.add_parser(verb)
            one.add_argument("name", help="as in add_model, or the address of a GGUF file")
            one.add_argument("--host", default=fleet.LOCAL_HOST, help="name of the host")
            one.add_argument("--wait", action="store_true", help="until it has ended; with its progress on a terminal")
            one.add_argument("--json", action="store_true", help="one JSON object instead of words")
            if verb == "pull":
                one.add_argument("--source", choices=Artifact.Source.values, default="", help="chosen by the name")
                one.add_argument("--sha256", default="", help="checksum of a file at an address")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            host = _host(options["host"])
            if options["verb"] == "pull":
                job = pulling.ask(_artifact(options), host, by=_person())
            else:
                job = MOVES[options["verb"]](_job(options["name"], host), by=_person())
        except (PullError, AddError) as error:
            raise CommandError(str(error)) from error
        if options["wait"]:
            job = self._wait(job, is_quiet=options["json"])
        self._tell(job, as_json=options["json"])
        if job.state == PullJob.State.FAILED:
            raise SystemExit(1)

    def _wait(self, job: PullJob, *, is_quiet: bool) -> PullJob:
        shown = ""
        while job.state in PullJob.OPEN and job.state != PullJob.State.PAUSED:
            time.sleep(POLL_SECONDS)
            job.refresh_from_db()
            line = _line(job)
            if not is_quiet and line != shown and self._may_show(job, shown):
                self._show(line, shown)
                shown = line
        if shown and self.stdout.isatty():
            self.stdout.write("")
        return job

    def _may_show(self, job: PullJob, shown: str) -> bool:
        """A terminal is written over twice a second; a log gets a line for each stage."""
        return self.stdout.isatty() or not shown.startswith(pull_words.state(job))

    def _show(self, line: str, shown: str) -> None:
        if self.stdout.isatty():
            self.stdout.write("\r" + line.ljust(len(shown)), ending="")
            self.stdout.flush()
        else:
            self.stdout.write(line)

    def _tell(self, job: PullJob, *, as_json: bool) -> None:
        if as_json:
            self.stdout.write(json.dumps(_for_programs(job), ensure_ascii=False))
            return
        about = {"model": job.stored.artifact.ref, "host": job.stored.host.name, "state": pull_words.state(job)}
        self.stdout.write(_("%(model)s on %(host)s: %(state)s.") % about)
        if why := pull_words.reason(job):
            self.stderr.write(why)


def _line(job: PullJob) -> str:
    parts = [pull_words.state(job), pull_words.amount(job), pull_words.speed(job), pull_words.time_left(job)]
    return " · ".join(part for part in parts if part != "–")


def _host(name: str) -> Host:
    if name == fleet.LOCAL_HOST:
        return fleet.local_host()
    host = Host.objects.filter(name=name).first()
    if host is None:
        raise PullError(_("No host is called “%(name)s”.") % {"name": name})
    return host


def _artifact(options: dict[str, Any]) -> Artifact:
    """What is known by this name; else it is added, which asks its source."""
    name = options["name"]
    if name.startswith(("http://", "https://")):
        return model_addresses.add(name, sha256=options["sha256"])
    known = Artifact.objects.filter(ref=name, source__in=artifacts.PINNED)
    if options["source"]:
        known = known.filter(source=options["source"])
    return known.order_by("-pk").first() or artifacts.add(name, source=options["source"]).artifact


def _job(name: str, host: Host) -> PullJob:
    jobs = PullJob.objects.filter(stored__host=host, stored__artifact__ref=name)
    job = jobs.select_related("stored__artifact", "stored__host").order_by("-pk").first()
    if job is None:
        raise PullError(_("Nobody has asked for %(model)s on %(host)s.") % {"model": name, "host": host.name})
    return job


def _person() -> str:
    """Whoever sits at the machine, as its system calls him."""
    try:
        return f"{getpass.getuser()} (bin/manage)"
    except (KeyError, OSError):
        return "bin/manage"


def _for_programs(job: PullJob) -> dict[str, Any]:
    return {
        "job": job.pk,
        "model": job.stored.artifact.ref,
        "host": job.stored.host.name,
        "state": job.state,
        "stage": job.stage,
        "attempt": job.attempt,
        "done_bytes": job.done_bytes,
        "total_bytes": job.total_bytes,
        "bytes_per_second": job.bytes_per_second,
        "reason": job.reason,
        "detail": job.detail,
        "path": job.stored.path,
    }
