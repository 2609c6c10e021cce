"""What a model does now, in words with a look and a share: loading, warm, on its way, failed. From tables, no HTML."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family.sentences import filled, listed
from models_admin.loads import warm_words
from models_admin.models import CatalogueModel, Deployment, PullJob, StoredArtifact
from models_admin.pages import host_view
from models_admin.pages.pin_words import longest_pin, pinned_until
from models_admin.pulls import deletion_words, pull_words

State = Deployment.State
# In a list, what moves and what fails comes before what rests.
ORDER = ("loading", "gone", "warm", "waiting", "cold")


@dataclass(frozen=True)
class Told:
    """`look` is warm, loading, waiting, cold or gone; `percent` None where there is no bar; `sub` in small letters."""

    look: str
    text: str
    percent: int | None = None
    sub: str = ""


def of_model(model: CatalogueModel) -> list[Told]:
    """All that is to be told of a model. Wants `artifacts.deployments` and `artifacts.stored_artifacts` at hand."""
    artifacts = list(model.artifacts.all())
    told = [of_deployment(row) for each in artifacts for row in each.deployments.all()]
    deployed = {(row.artifact_id, row.engine.host_id) for each in artifacts for row in each.deployments.all()}
    for stored in (row for each in artifacts for row in each.stored_artifacts.all()):
        told += _of_files(stored, is_deployed=(stored.artifact_id, stored.host_id) in deployed)
    return sorted(told, key=lambda each: ORDER.index(each.look)) or [Told("cold", _("nowhere"))]


def of_deployment(row: Deployment) -> Told:
    where = {"host": fleet.place_of(row.engine)}
    look, word = host_view.state_of(row)
    if row.state == State.STARTING:
        return _loading(row, where)
    if look == "warm":
        return Told(look, filled(_("warm on %(host)s"), where), sub=_about_warm(row))
    if row.state in (State.FAILED, State.QUARANTINED):
        text = filled(_("%(state)s on %(host)s"), {"state": word, **where})
        return Told("gone", text, sub=warm_words.reason(row))
    if row.state == State.DRAINING:
        return Told("waiting", filled(_("unloading on %(host)s"), where), sub=_("its answers run to their end"))
    return Told("cold", filled(_("cold on %(host)s"), where), sub=_about_cold(row))


def of_pull(job: PullJob) -> Told:
    """An open pull, or one that failed."""
    share = 100 * job.done_bytes // job.total_bytes if job.total_bytes else 0
    amount = {"done": _without_unit(job), "total": short(job.total_bytes), "host": fleet.shown_name(job.stored.host)}
    if job.is_held:
        words = _("waits until %(time)s, then warmed") if job.then_warm else _("waits until %(time)s")
        return Told("waiting", words % {"time": pull_words.planned_for(job)}, sub=_held(job, amount))
    if job.state == PullJob.State.PAUSED:
        return Told("waiting", filled(_("paused at %(done)s of %(total)s on %(host)s"), amount), share, _asked_by(job))
    if job.state == PullJob.State.FAILED:
        return Told("gone", filled(_("pull to %(host)s failed"), amount), sub=pull_words.reason(job))
    if job.stage == "verifying":
        return Told("loading", filled(_("verifying %(total)s on %(host)s"), amount), share, _asked_by(job))
    parts = (pull_words.speed(job), pull_words.time_left(job), _asked_by(job))
    sub = listed(part for part in parts if part != "–")
    return Told("loading", filled(_("pulling %(done)s of %(total)s to %(host)s"), amount), share, sub)


def _held(job: PullJob, amount: dict[str, str]) -> str:
    return listed((filled(_("%(total)s to %(host)s"), amount), _asked_by(job)))


def last_pull(stored: StoredArtifact) -> PullJob | None:
    """The newest job of these files; of those at hand where they are."""
    jobs: Sequence[PullJob] = sorted(stored.jobs.all(), key=lambda job: -job.pk)
    return jobs[0] if jobs else None


def short(size: int | None) -> str:
    """One decimal, as in a line of a list."""
    if size is None:
        return _("an unknown size")
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _without_unit(job: PullJob) -> str:
    """What has come, without its unit where the whole is told in the same one."""
    done, unit = short(job.done_bytes), short(job.total_bytes).rpartition(" ")[2]
    return done.removesuffix(f" {unit}")


def about(seconds: int) -> str:
    return _("about %(time)s") % {"time": pull_words.duration(seconds)}


def of_deletion(stored: StoredArtifact) -> Told | None:
    """One that is under way or was given up."""
    where = {"host": fleet.shown_name(stored.host)}
    if stored.state == StoredArtifact.State.DELETING:
        return Told("waiting", filled(_("deleting files on %(host)s"), where), sub=deletion_words.waits_for(stored))
    if stored.state == StoredArtifact.State.BROKEN and stored.reason:
        return Told("gone", filled(_("files on %(host)s not deleted"), where), sub=deletion_words.reason(stored))
    return None


def _of_files(stored: StoredArtifact, *, is_deployed: bool) -> Iterable[Told]:
    job = last_pull(stored)
    if told := of_deletion(stored):
        yield told
    elif job is not None and (job.state in PullJob.OPEN or job.state == PullJob.State.FAILED):
        yield of_pull(job)
    elif stored.state == StoredArtifact.State.READY and not is_deployed:
        yield Told(
            "cold", filled(_("pulled to %(host)s"), {"host": fleet.shown_name(stored.host)}), sub=_("not deployed yet")
        )


def _loading(row: Deployment, where: dict[str, str]) -> Told:
    words = "" if row.stage == "loading" else warm_words.stage(row)
    if row.progress is None:
        return Told("loading", filled(_("loading on %(host)s"), where), sub=words)
    text = filled(_("loading on %(host)s, %(percent)d %%"), {"percent": row.progress, **where})
    return Told("loading", text, row.progress, words)


def _about_warm(row: Deployment) -> str:
    if pin := longest_pin(row):
        return pinned_until(pin)
    if row.last_used_at is None:
        return ""
    idle = max(0, round((timezone.now() - row.last_used_at).total_seconds()))
    return _("idle for %(time)s") % {"time": pull_words.duration(idle)} if idle >= 60 else _("in use just now")


def _about_cold(row: Deployment) -> str:
    if row.reason:
        return warm_words.reason(row)
    return _("loads in %(time)s") % {"time": about(round(row.load_ms / 1000) or 1)} if row.load_ms else ""


def _asked_by(job: PullJob) -> str:
    people = listed(map(str, job.asked_by))
    return _("asked by %(people)s") % {"people": people} if people else ""
