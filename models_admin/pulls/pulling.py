"""Pulls as durable jobs: one open job for a model's files on a host, whoever asks and whatever dies meanwhile.

The row is the truth, messages are hints. An attempt is one sending of the order; what an older one tells is not heard.
Only a success that was verified makes files ready.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TypeAlias

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin import audit
from models_admin.engines.fleet import LOCAL_HOST
from models_admin.hosts import hosts, pull_plan, queue
from models_admin.loads import warming
from models_admin.models import Artifact, Deployment, Host, PullJob, StoredArtifact
from models_admin.orders import pull_orders
from models_admin.orders.pull_orders import End, PullOrder, Step, StopOrder, Wanted

State: TypeAlias = PullJob.State
Files: TypeAlias = StoredArtifact.State
# A host tells its progress every second; after so many without a word the order is sent again.
SILENT_SECONDS = 15
# What of a source's answer proves that the files at hand are no good.
BROKEN_REASONS = {"digest_differs", "size_differs"}


class PullError(Exception):
    """Why this cannot be pulled, or not be moved like that, as a sentence for whoever asked."""


def ask(
    artifact: Artifact, host: Host, *, by: str, then_warm: bool = False, not_before: datetime | None = None
) -> PullJob:
    """The open job for these files, made where there is none. `by` is a user name. Raises PullError.

    `then_warm`: what is deployed of them on that host is loaded when they are there; one who asks for it is enough.
    `not_before`: held until then. Who asks again for what is held chooses another time, or has it start now.
    """
    if why := pull_plan.why_not(artifact, host):
        raise PullError(why)
    with transaction.atomic():
        return _ask(artifact, host, by, then_warm, not_before)


def pause(job: PullJob, *, by: str, why: str = "") -> PullJob:
    """Raises PullError where it is not under way."""
    return _move(job, (State.PLANNED, State.RUNNING), State.PAUSED, by=by, why=why)


def resume(job: PullJob, *, by: str, why: str = "") -> PullJob:
    """Goes on from the bytes at hand. Raises PullError where it is not paused."""
    return _move(job, (State.PAUSED,), State.PLANNED, by=by, why=why)


def start(job: PullJob, *, by: str, why: str = "") -> PullJob:
    """Now, instead of at its time. Raises PullError where it does not wait for one."""
    if not PullJob.objects.get(pk=job.pk).is_held:
        raise PullError(_told(job))
    return _move(job, (State.PLANNED,), State.PLANNED, by=by, why=why)


def cancel(job: PullJob, *, by: str, why: str = "") -> PullJob:
    """Ends it, and removes what came. Raises PullError where it has ended already."""
    return _move(job, PullJob.OPEN, State.CANCELLED, by=by, why=why)


def retry(job: PullJob, *, by: str) -> PullJob:
    """A job for the same files: bytes at hand are gone on from. Raises PullError."""
    if job.state not in (State.FAILED, State.CANCELLED):
        raise PullError(_told(job))
    return ask(job.stored.artifact, job.stored.host, by=by, then_warm=job.then_warm)


def note_step(job_id: int, attempt: int, step: Step) -> None:
    """How far a host is. One that works for what was paused or cancelled did not hear it: it is told again."""
    with transaction.atomic():
        moved = PullJob.objects.filter(pk=job_id, attempt=attempt, state__in=[State.PLANNED, State.RUNNING]).update(
            state=State.RUNNING,
            stage=step.stage,
            done_bytes=step.done,
            total_bytes=step.total,
            bytes_per_second=step.speed,
            seen_at=Now(),
        )
        files = Files.VERIFYING if step.stage == "verifying" else Files.PULLING
        if moved:
            StoredArtifact.objects.filter(jobs=job_id).exclude(state=files).update(state=files)
        elif job := PullJob.objects.filter(pk=job_id, state__in=[State.PAUSED, State.CANCELLED]).first():
            _send_stop(job)


def note_end(job_id: int, attempt: int, end: End) -> None:
    """The end of an attempt. What was cancelled or paused meanwhile stays so, even at the last byte."""
    is_good = end.outcome == "success" and end.verified
    with transaction.atomic():
        job = PullJob.objects.select_for_update().filter(pk=job_id).first()
        if job is None or job.attempt != attempt or job.state not in (State.PLANNED, State.RUNNING):
            return
        job.state, job.ended_at = (State.DONE if is_good else State.FAILED), Now()
        job.reason = "" if is_good else (end.reason or "not_verified")
        job.detail, job.bytes_per_second, job.seen_at = end.detail[:300], 0, Now()
        if is_good:
            job.done_bytes = job.total_bytes = end.bytes
        job.save()
        _note_files(job, end, is_good=is_good)
        after = job.reason or job.state
        audit.record("", "pull_ended", job.stored, before=State.RUNNING, after=after, why=job.detail)
    if is_good and job.then_warm:
        _warm(job)


def _warm(job: PullJob) -> None:
    """What waited for these files. One that has no room now is loaded when somebody asks for it."""
    by = job.asked_by[0] if job.asked_by else ""
    rows = Deployment.objects.filter(artifact=job.stored.artifact, engine__host=job.stored.host)
    for row in rows.filter(state=Deployment.State.STOPPED).select_related("engine"):
        try:
            warming.warm(row, by=by, why=_("asked for with its pull"))
        except warming.WarmError as error:
            Deployment.objects.filter(pk=row.pk).update(detail=str(error)[:300], reason="no_room_after_pull")


def sweep() -> int:
    """Sends again what no host has taken up or spoken of for 15 s, under a new attempt; how many. Raises DatabaseError.

    A host that is gone gets nothing; its jobs wait for it. So does what is held for its time, until then.
    """
    silent = Now() - timedelta(seconds=SILENT_SECONDS)
    is_late = Q(seen_at__lt=silent) | Q(seen_at__isnull=True, created_at__lt=silent)
    gone = hosts.gone().exclude(name=LOCAL_HOST).values("pk")
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=Now())
    late = PullJob.objects.filter(is_late, is_due, state__in=[State.PLANNED, State.RUNNING]).exclude(
        stored__host__in=gone
    )
    return sum(_send_again(pk, attempt) for pk, attempt in late.values_list("pk", "attempt"))


def _send_again(job_id: int, attempt: int) -> int:
    """1 where this runner, of all that sweep, took the next attempt."""
    with transaction.atomic():
        mine = PullJob.objects.filter(pk=job_id, attempt=attempt, state__in=[State.PLANNED, State.RUNNING])
        if not mine.update(attempt=F("attempt") + 1, seen_at=Now(), bytes_per_second=0):
            return 0
        _send(PullJob.objects.select_related("stored__host", "stored__artifact").get(pk=job_id))
    return 1


def _ask(artifact: Artifact, host: Host, by: str, then_warm: bool, not_before: datetime | None) -> PullJob:
    stored, _is_new = StoredArtifact.objects.get_or_create(host=host, artifact=artifact)
    # Whoever asks at the same moment waits here for the job that he then finds.
    stored = StoredArtifact.objects.select_for_update().get(pk=stored.pk)
    if stored.state == Files.READY:
        raise PullError(_("%(model)s is there already.") % {"model": artifact.ref})
    if stored.state == Files.DELETING:
        raise PullError(_("%(model)s is being deleted there: pull it when that has ended.") % {"model": artifact.ref})
    job = stored.jobs.filter(state__in=PullJob.OPEN).first()
    if job is None:
        job = PullJob.objects.create(
            stored=stored, attempt=1, asked_by=[by], total_bytes=artifact.bytes, then_warm=then_warm,
            not_before=not_before,
        )  # fmt: skip
        stored.state, stored.reason, stored.detail = Files.PULLING, "", ""
        stored.save(update_fields=["state", "reason", "detail"])
        if not_before is None:
            _send(job)
        audit.record(by, "pull", stored, after=State.PLANNED)
        return job
    _choose_time(job, not_before)
    if by not in job.asked_by or (then_warm and not job.then_warm):
        job.asked_by, job.then_warm = [*job.asked_by, *({by} - set(job.asked_by))], job.then_warm or then_warm
        job.save(update_fields=["asked_by", "then_warm"])
        audit.record(by, "pull", stored, before=job.state, after=job.state)
    return job


def _choose_time(job: PullJob, not_before: datetime | None) -> None:
    """Of an open job, its row locked. Raises PullError where it is past waiting for one."""
    if not job.is_held:
        if not_before is not None:
            raise PullError(_told(job))
        return
    job.not_before = not_before
    if not_before is None:
        job.attempt, job.seen_at = job.attempt + 1, timezone.now()
    job.save(update_fields=["not_before", "attempt", "seen_at"])
    if not_before is None:
        _send(job)


def _move(job: PullJob, of: tuple[State, ...], to: State, *, by: str, why: str) -> PullJob:
    """A guarded move of a person; whoever comes second is told what the first one did."""
    with transaction.atomic():
        fresh = PullJob.objects.select_for_update().select_related("stored__host", "stored__artifact").get(pk=job.pk)
        if fresh.state not in of:
            raise PullError(_told(fresh))
        before, fresh.state, fresh.bytes_per_second = fresh.state, to, 0
        if to == State.PLANNED:
            fresh.attempt, fresh.seen_at, fresh.not_before = fresh.attempt + 1, Now(), None
        if to == State.CANCELLED:
            fresh.ended_at = Now()
        fresh.save()
        files = {State.PAUSED: Files.PAUSED, State.PLANNED: Files.PULLING, State.CANCELLED: Files.ABSENT}[to]
        StoredArtifact.objects.filter(pk=fresh.stored_id).update(state=files, path="", verified_at=None)
        _send(fresh) if to == State.PLANNED else _send_stop(fresh)
        verb = "start_pull" if before == to else _VERBS[to]
        audit.record(by, verb, fresh.stored, before=before, after=to, why=why)
    fresh.refresh_from_db()
    return fresh


_VERBS = {State.PAUSED: "pause_pull", State.PLANNED: "resume_pull", State.CANCELLED: "cancel_pull"}


def _note_files(job: PullJob, end: End, *, is_good: bool) -> None:
    state = Files.READY if is_good else Files.BROKEN if job.reason in BROKEN_REASONS else Files.ABSENT
    path = end.path if is_good else ""
    StoredArtifact.objects.filter(pk=job.stored_id).update(
        state=state, path=path, verified_at=Now() if is_good else None
    )


def discard(job: PullJob) -> None:
    """Tell the host to remove what a job that has ended brought."""
    queue.stop_pull(job.stored.host.queue, StopOrder(job.pk, job.attempt, _wanted(job.stored), discard=True))


def _send(job: PullJob) -> None:
    queue.pull(job.stored.host.queue, PullOrder(job.pk, job.attempt, _wanted(job.stored)))


def _send_stop(job: PullJob) -> None:
    order = StopOrder(job.pk, job.attempt, _wanted(job.stored), discard=job.state == State.CANCELLED)
    queue.stop_pull(job.stored.host.queue, order)


def _wanted(stored: StoredArtifact) -> Wanted:
    artifact = stored.artifact
    source: pull_orders.SourceKind = "gguf"
    if artifact.ref.startswith(("http://", "https://")):
        source = "url"
    elif artifact.source in (Artifact.Source.OLLAMA, Artifact.Source.HF):
        source = "ollama" if artifact.source == Artifact.Source.OLLAMA else "hf"
    engine = pull_plan.ollama_of(stored.host) if source == "ollama" else None
    return Wanted(source, artifact.ref, artifact.digest, artifact.bytes, engine.base_url if engine else "")


def _told(job: PullJob) -> str:
    return _("The pull of %(model)s is %(state)s.") % {
        "model": job.stored.artifact.ref,
        "state": job.get_state_display(),
    }
