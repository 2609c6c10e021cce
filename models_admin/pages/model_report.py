"""What `bin/manage model` answers: one structure for programs, one line for people."""

from __future__ import annotations

from datetime import datetime

import msgspec
from django.utils.translation import gettext as _

from models_admin.models import Deployment, PullJob, StoredArtifact
from models_admin.pages import model_state, pin_words, plan_view
from models_admin.pages.model_state import Told
from models_admin.pages.plan_view import View
from models_admin.pulls import pull_words


class Pull(msgspec.Struct, frozen=True):
    """A pull; bytes and bytes/s. `path` is the host's own, '' until the files were verified.

    `not_before`: it is held until then, None = at once.
    """

    job: int
    model: str
    host: str
    state: str
    stage: str
    attempt: int
    done_bytes: int
    total_bytes: int | None
    bytes_per_second: int
    reason: str
    detail: str
    path: str
    then_warm: bool
    not_before: datetime | None


class Speed(msgspec.Struct, frozen=True):
    """A measured load: tokens/s over all streams, ms to the first token."""

    streams: int
    tokens_per_second: float
    first_token_ms: int


class Deployed(msgspec.Struct, frozen=True):
    """A deployment. `progress` in percent, `load_ms` of its last load; None where nobody knows."""

    deployment: int
    model: str
    host: str
    engine: str
    state: str
    stage: str
    progress: int | None
    reason: str
    detail: str
    context_tokens: int
    slots: int
    load_ms: int | None
    pinned_by: tuple[str, ...]
    speeds: tuple[Speed, ...]


class Files(msgspec.Struct, frozen=True):
    """Files on a host. `reason` is why they are not deleted, '' = nothing failed yet."""

    model: str
    host: str
    state: str
    reason: str


class HostPlan(msgspec.Struct, frozen=True):
    """One host: `verdict` is that of memory; bytes and seconds None where nobody knows; `why_not` a sentence or ''."""

    host: str
    verdict: str
    is_possible: bool
    is_pulled: bool
    needs_bytes: int | None
    unloads: tuple[str, ...]
    missing_bytes: int | None
    free_disk_bytes: int | None
    pull_seconds: int | None
    load_seconds: int | None
    why_not: str


class Plan(msgspec.Struct, frozen=True):
    model: str
    context_tokens: int
    slots: int
    hosts: tuple[HostPlan, ...]


Report = Pull | Deployed | Files | Plan


def of_pull(job: PullJob) -> Pull:
    return Pull(
        job.pk, job.stored.artifact.ref, job.stored.host.name, job.state, job.stage, job.attempt, job.done_bytes,
        job.total_bytes, job.bytes_per_second, job.reason, job.detail, job.stored.path, job.then_warm,
        job.not_before,
    )  # fmt: skip


def of_deployment(row: Deployment) -> Deployed:
    return Deployed(
        row.pk, row.artifact.ref, row.engine.host.name, row.engine.kind, row.state, row.stage, row.progress, row.reason,
        row.detail, row.context_tokens, row.slots, row.load_ms,
        tuple(pin.owner for pin in pin_words.holding(row.pins.all())), _newest_speeds(row),
    )  # fmt: skip


def _newest_speeds(row: Deployment) -> tuple[Speed, ...]:
    """The last measurement with each number of streams."""
    newest = {each.streams: each for each in row.measurements.order_by("at", "pk")}
    return tuple(Speed(each, newest[each].tokens_per_second, newest[each].first_token_ms) for each in sorted(newest))


def of_plan(view: View) -> Plan:
    rows = (
        HostPlan(
            row.host.name, row.found.verdict.value, row.is_possible, row.is_pulled, row.found.outlook.needs_bytes,
            tuple(each.artifact.ref for each in row.found.unloads), row.pull.missing, row.pull.free, row.pull.seconds,
            row.found.outlook.seconds, row.why_not,
        )
        for row in view.rows
    )  # fmt: skip
    return Plan(view.wish.artifact.ref, view.wish.context, view.wish.slots, tuple(rows))


def pull_line(job: PullJob) -> str:
    """How far it is, for a terminal."""
    parts = [pull_words.state(job), pull_words.amount(job), pull_words.speed(job), pull_words.time_left(job)]
    return " · ".join(part for part in parts if part != "–")


def pull_end(job: PullJob) -> str:
    about = {"model": job.stored.artifact.ref, "host": job.stored.host.name, "state": pull_words.state(job)}
    return _("%(model)s on %(host)s: %(state)s.") % about


def files_line(stored: StoredArtifact) -> str:
    told = model_state.of_deletion(stored)
    return ": ".join(filter(None, (told.text, told.sub))) if told else ""


def files_end(stored: StoredArtifact) -> str:
    about = {"model": stored.artifact.ref, "host": stored.host.name, "state": stored.get_state_display()}
    return _("%(model)s on %(host)s: %(state)s.") % about


def deployment_line(row: Deployment) -> str:
    told: Told = model_state.of_deployment(row)
    return ": ".join(filter(None, (told.text, told.sub)))


def deployment_end(row: Deployment) -> str:
    about = {"model": row.artifact.ref, "host": row.engine.host.name, "state": row.get_state_display()}
    return _("%(model)s on %(host)s: %(state)s.") % about


def speed_lines(report: Deployed) -> list[str]:
    words = _("%(streams)d at once: %(speed).1f tokens/s together, first token after %(wait)d ms")
    return [
        words % {"streams": each.streams, "speed": each.tokens_per_second, "wait": each.first_token_ms}
        for each in report.speeds
    ]


def plan_lines(view: View) -> list[str]:
    """One for each host: verdict, what would go, how long."""
    return [_plan_line(row) for row in view.rows] or [_("No host has an engine for such files.")]


def _plan_line(row: plan_view.Row) -> str:
    warm = row.warm_in.text if row.warm_in.text != "–" else ""
    parts = (row.verdict, row.download, warm and _("warm in: %(time)s") % {"time": warm}, row.why_not)
    return f"{row.host.name}: " + ", ".join(filter(None, parts))
