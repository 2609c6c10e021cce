"""Removing a model's files from a host: never of what is in memory. The host does it; Ollama is told to by a runner.

Files are *deleting* until whoever was told says that they are gone. Where he says nothing the sweep sends it again, and
gives up after ten minutes of its own time: then they are broken, with a reason.
"""

from __future__ import annotations

from datetime import timedelta

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from models_admin import audit
from models_admin.engines.fleet import LOCAL_HOST
from models_admin.hosts import hosts, pull_plan, runner_queue
from models_admin.models import Artifact, Deployment, Host, PullJob, StoredArtifact
from models_admin.pulls import deletion_words, pulling

State = StoredArtifact.State
MOST_ATTEMPTS = 600 // pulling.SILENT_SECONDS


class DeleteError(Exception):
    """Why the files stay, as a sentence for whoever asked."""


def remove_files(artifact: Artifact, host: Host, *, by: str, why: str = "") -> StoredArtifact:
    """Raises DeleteError where they are in use, on their way, or nobody could be told."""
    with transaction.atomic():
        stored = StoredArtifact.objects.select_for_update().filter(artifact=artifact, host=host).first()
        if problem := _problem(stored, artifact, host):
            raise DeleteError(problem % {"model": artifact.ref, "host": host.name})
        assert stored is not None
        if stored.state == State.DELETING:
            return stored
        before, stored.state, stored.path, stored.verified_at = stored.state, State.DELETING, "", None
        stored.attempt, stored.sent_at, stored.reason, stored.detail = 1, Now(), "", ""
        stored.save()
        _send(stored)
        audit.record(by, "delete_files", stored, before=before, after=State.DELETING, why=why)
    stored.refresh_from_db()
    return stored


def note_gone(stored_id: int) -> None:
    """Whoever was told found them gone."""
    with transaction.atomic():
        mine = StoredArtifact.objects.filter(pk=stored_id, state=State.DELETING)
        if mine.update(state=State.ABSENT, attempt=0, reason="", detail=""):
            stored = StoredArtifact.objects.get(pk=stored_id)
            audit.record("", "files_deleted", stored, before=State.DELETING, after=State.ABSENT)


def note_problem(stored_id: int, reason: str, detail: str = "") -> None:
    """This attempt did not succeed; the next one may."""
    StoredArtifact.objects.filter(pk=stored_id, state=State.DELETING).update(
        reason=reason[:40], detail=detail[:300].replace("\0", "")
    )


def note_host(job_id: int, reason: str, detail: str) -> None:
    """A host's word about the files of a pull, '' = they are gone. Of an older pull it says nothing about now."""
    stored = StoredArtifact.objects.filter(jobs=job_id, state=State.DELETING).first()
    if stored is None or _newest_job(stored) != PullJob.objects.get(pk=job_id):
        return
    if reason:
        note_problem(stored.pk, reason, detail)
    else:
        note_gone(stored.pk)


def sweep() -> None:
    """Send again what nobody spoke of for 15 s, or give it up. A host that is gone is told when it is back."""
    gone = hosts.gone().exclude(name=LOCAL_HOST).values("pk")
    late = StoredArtifact.objects.filter(
        state=State.DELETING, sent_at__lt=Now() - timedelta(seconds=pulling.SILENT_SECONDS)
    )
    for stored in late.exclude(host__in=gone).select_related("host", "artifact").order_by("pk"):
        with transaction.atomic():
            _go_on(stored)


def _go_on(stored: StoredArtifact) -> None:
    mine = StoredArtifact.objects.filter(pk=stored.pk, state=State.DELETING, attempt=stored.attempt)
    if stored.attempt < MOST_ATTEMPTS:
        if mine.update(attempt=F("attempt") + 1, sent_at=Now()):
            stored.attempt += 1
            _send(stored)
    elif mine.update(state=State.BROKEN, reason=stored.reason or deletion_words.NO_WORD):
        why = stored.reason or deletion_words.NO_WORD
        audit.record("", "delete_failed", stored, before=State.DELETING, after=State.BROKEN, why=why)


def _problem(stored: StoredArtifact | None, artifact: Artifact, host: Host) -> str:
    """Why they stay, to be filled with model and host; '' where they can go."""
    if stored is None:
        return _("The site has no files of %(model)s on %(host)s.")
    if stored.jobs.filter(state__in=PullJob.OPEN).exists():
        return _("%(model)s is on its way to %(host)s: cancel the pull instead.")
    deployed = Deployment.objects.filter(artifact=artifact, engine__host=host)
    if deployed.exclude(state__in=Deployment.OUT_OF_MEMORY).exists():
        return _("%(model)s is in memory on %(host)s: unload it first.")
    if artifact.source == Artifact.Source.OLLAMA and pull_plan.ollama_of(host) is None:
        return _("No Ollama is attached on %(host)s, which would have to delete %(model)s.")
    if artifact.source != Artifact.Source.OLLAMA and _newest_job(stored) is None:
        return _("The site has no files of %(model)s on %(host)s.")
    return ""


def _newest_job(stored: StoredArtifact) -> PullJob | None:
    return stored.jobs.order_by("-pk").first()


def _send(stored: StoredArtifact) -> None:
    if stored.artifact.source == Artifact.Source.OLLAMA:
        runner_queue.delete_model(stored.pk)
    elif job := _newest_job(stored):
        pulling.discard(job)
