"""`bin/manage model VERB NAME`: what the admin's pages do with models on hosts, for scripts and terminals.

Ends with 0 when it is done or, without --wait, ordered; with 1 when it was refused or failed; with 2 for wrong words.
"""

from __future__ import annotations

import getpass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family import artifacts
from models_admin.loads import deploying, warm_words, warming
from models_admin.models import Artifact, Deployment, Host, PullJob, StoredArtifact
from models_admin.pages import launch_form, model_lookup, model_report, model_verbs, plan_view
from models_admin.pages.following import Follower, TooLong
from models_admin.pages.model_report import Report
from models_admin.pages.plan_view import Wish
from models_admin.pulls import deletion_words, pull_times, pull_words

OF_PULLS = ("start", "pause", "resume", "cancel", "retry")
OF_DEPLOYMENTS = ("warm", "unload", "pin", "unpin", "measure")
VERBS = ("plan", "pull", *OF_PULLS, *OF_DEPLOYMENTS, "delete")
A_DAY = 86_400
REFUSALS = (
    artifacts.AddError, deploying.DeployError, launch_form.WishRefused, model_lookup.NotFound, model_verbs.VerbRefused,
    pull_times.NoTime, warming.WarmError, TooLong,
)  # fmt: skip


class Command(BaseCommand):
    help = "Plan, pull, warm, pin, measure, unload and delete models on hosts."

    def add_arguments(self, parser: CommandParser) -> None:
        verbs = parser.add_subparsers(dest="verb", required=True)
        for verb in VERBS:
            one = verbs.add_parser(verb)
            one.add_argument("name", help="as in add_model, or the address of a GGUF file")
            one.add_argument("--host", default="", help="name of the host")
            one.add_argument("--json", action="store_true", help="one JSON object instead of words")
            if verb not in ("plan", "pin", "unpin"):
                one.add_argument("--wait", action="store_true", help="until it has ended; with its progress")
                one.add_argument("--timeout", type=int, default=A_DAY, help="seconds to wait at most")
            if verb in ("plan", "pull"):
                _add_wish(one)
        _add_pin(verbs.choices["pin"])
        verbs.choices["pull"].add_argument("--warm", action="store_true", help="and load it when it is there")
        verbs.choices["pull"].add_argument("--at", default="", help="not before HH:MM, by the site's clock")

    def handle(self, *args: Any, **options: Any) -> None:
        self.follower = Follower(self.stdout, options.get("timeout", A_DAY), is_quiet=options["json"])
        try:
            getattr(self, f"_{_family(options['verb'])}")(options)
        except REFUSALS as error:
            raise CommandError(str(error)) from error

    def _plan(self, options: dict[str, Any]) -> None:
        view = plan_view.of(_wish(options))
        if options["host"]:
            view = view.only(model_lookup.host(options["host"]))
        self._tell(options, model_report.of_plan(view), model_report.plan_lines(view))
        if view.best is None:
            raise SystemExit(1)

    def _pull(self, options: dict[str, Any]) -> None:
        wish, host = _wish(options), _host(options)
        at = pull_times.next_at(options["at"]) if options["at"] else None
        done = model_verbs.order(wish, host, by=_person(), then_warm=options["warm"], not_before=at)
        row = model_verbs.find(done.undo.verb, done.undo.pk) if done.undo else None
        if isinstance(row, Deployment):
            self._end_deployment(options, row)
            return
        job = self._end_pull(options, model_lookup.job(wish.artifact.ref, host), is_last=not options["warm"])
        if options["warm"] and options["wait"] and job.state == PullJob.State.DONE:
            self._end_deployment(options, model_lookup.deployment(wish.artifact.ref, host))
        elif options["warm"]:
            self._tell_pull(options, job)

    def _of_pull(self, options: dict[str, Any]) -> None:
        job = model_lookup.job(options["name"], _host(options))
        model_verbs.act(options["verb"], job, by=_person())
        self._end_pull(options, model_lookup.job(options["name"], job.stored.host))

    def _of_deployment(self, options: dict[str, Any]) -> None:
        where = model_lookup.host(options["host"]) if options["host"] else None
        verb, name = options["verb"], options["name"]
        if verb == "warm":
            row = model_lookup.deployment_to_warm(name, where, by=_person())
        else:
            row = model_lookup.deployment(name, where)
        if verb == "pin":
            warming.pin(row, by=_person(), reason=options["reason"], ends_at=_end_of(options))
        elif verb == "unpin":
            for pin in model_lookup.pins(row):
                warming.unpin(pin, by=_person())
        else:
            model_verbs.act(verb, row, by=_person())
        self._end_deployment(options, row)

    def _delete(self, options: dict[str, Any]) -> None:
        stored = model_lookup.stored(options["name"], _host(options))
        done = model_verbs.act("delete_files", stored, by=_person())
        if options["wait"]:
            self.follower.files(stored)
        stored.refresh_from_db()
        report = model_report.Files(stored.artifact.ref, stored.host.name, stored.state, stored.reason)
        lines = [model_report.files_end(stored)] if options["wait"] else [done.words]
        self._tell(options, report, lines, deletion_words.reason(stored))
        if stored.state == StoredArtifact.State.BROKEN:
            raise SystemExit(1)

    def _end_pull(self, options: dict[str, Any], job: PullJob, *, is_last: bool = True) -> PullJob:
        if options["wait"]:
            self.follower.pull(job)
        if is_last or job.state == PullJob.State.FAILED:
            self._tell_pull(options, job)
        return job

    def _tell_pull(self, options: dict[str, Any], job: PullJob) -> None:
        self._tell(options, model_report.of_pull(job), [model_report.pull_end(job)], pull_words.reason(job))
        if job.state == PullJob.State.FAILED:
            raise SystemExit(1)

    def _end_deployment(self, options: dict[str, Any], row: Deployment) -> None:
        if options.get("wait"):
            self.follower.deployment(row)
        row.refresh_from_db()
        report = model_report.of_deployment(row)
        lines = [model_report.deployment_end(row), *_figures(options, report)]
        self._tell(options, report, lines, warm_words.reason(row))
        if row.state in (Deployment.State.FAILED, Deployment.State.QUARANTINED):
            raise SystemExit(1)

    def _tell(self, options: dict[str, Any], report: Report, lines: list[str], why: str = "") -> None:
        if options["json"]:
            self.stdout.write(msgspec.json.encode(report).decode())
            return
        for line in lines:
            self.stdout.write(line)
        if why:
            self.stderr.write(why)


def _add_wish(parser: CommandParser) -> None:
    parser.add_argument("--source", choices=Artifact.Source.values, default="", help="chosen by the name")
    parser.add_argument("--sha256", default="", help="checksum of a file at an address")
    parser.add_argument("--context", type=int, default=0, help="tokens for each answer")
    parser.add_argument("--slots", type=int, default=0, help="answers at once")
    parser.add_argument("--engine", default="", help="chosen by the files", choices=sorted(_engines()))
    parser.add_argument(
        "--flags", default="", help="of a server that the host launches, as one word: --flags='--enforce-eager'"
    )
    parser.add_argument("--gpus", default="", help="numbers of cards, such as 0,1")


def _add_pin(parser: CommandParser) -> None:
    parser.add_argument("--reason", required=True, help="why: others will want to know")
    parser.add_argument("--hours", type=float, default=None, help="how long; without it until it is taken away")
    parser.add_argument("--until", default="", help="or until when, such as 2026-01-31T18:00")


def _engines() -> set[str]:
    return {kind for kinds in launch_form.KINDS.values() for kind in kinds}


def _family(verb: str) -> str:
    if verb in OF_PULLS:
        return "of_pull"
    return "of_deployment" if verb in OF_DEPLOYMENTS else verb


def _host(options: dict[str, Any]) -> Host:
    return model_lookup.host(options["host"] or fleet.LOCAL_HOST)


def _wish(options: dict[str, Any]) -> Wish:
    """As typed, and as usual where nothing was typed. Raises AddError, WishRefused."""
    if options["host"]:
        model_lookup.host(options["host"])
    artifact = model_lookup.files(options["name"], source=options["source"], sha256=options["sha256"])
    typed = {name: options[name] for name in ("context", "slots", "flags", "gpus")}
    return launch_form.checked(artifact, kind=options["engine"], **typed)


def _end_of(options: dict[str, Any]) -> datetime | None:
    if options["hours"] is not None:
        return timezone.now() + timedelta(hours=options["hours"])
    if not options["until"]:
        return None
    try:
        found = parse_datetime(options["until"])
    except ValueError:
        found = None
    if found is None:
        raise CommandError(_("“%(text)s” is no time, such as 2026-01-31T18:00.") % {"text": options["until"][:40]})
    return found if timezone.is_aware(found) else timezone.make_aware(found)


def _figures(options: dict[str, Any], report: model_report.Deployed) -> list[str]:
    return model_report.speed_lines(report) if options["verb"] == "measure" and options["wait"] else []


def _person() -> str:
    """Whoever sits at the machine, as its system calls him."""
    try:
        return f"{getpass.getuser()} (bin/manage)"
    except (KeyError, OSError):
        return "bin/manage"
