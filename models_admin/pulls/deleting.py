"""Removing a model's files from a host: never of what is in memory. The host does it; Ollama is told to by a runner."""

from __future__ import annotations

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin import audit
from models_admin.hosts import pull_plan, runner_queue
from models_admin.models import Artifact, Deployment, Host, PullJob, StoredArtifact
from models_admin.pulls import pulling


class DeleteError(Exception):
    """Why the files stay, as a sentence for whoever asked."""


def remove_files(artifact: Artifact, host: Host, *, by: str, why: str = "") -> StoredArtifact:
    """Raises DeleteError where they are in use, on their way, or were never pulled by the site."""
    about = {"model": artifact.ref, "host": host.name}
    with transaction.atomic():
        stored = StoredArtifact.objects.select_for_update().filter(artifact=artifact, host=host).first()
        if stored is None:
            raise DeleteError(_("The site has no files of %(model)s on %(host)s.") % about)
        if stored.jobs.filter(state__in=PullJob.OPEN).exists():
            raise DeleteError(_("%(model)s is on its way to %(host)s: cancel the pull instead.") % about)
        if (
            Deployment.objects.filter(artifact=artifact, engine__host=host)
            .exclude(state__in=Deployment.OUT_OF_MEMORY)
            .exists()
        ):
            raise DeleteError(_("%(model)s is in memory on %(host)s: unload it first.") % about)
        before = stored.state
        StoredArtifact.objects.filter(pk=stored.pk).update(state=StoredArtifact.State.ABSENT, path="", verified_at=None)
        _send(stored)
        audit.record(by, "delete_files", stored, before=before, after=StoredArtifact.State.ABSENT, why=why)
    stored.refresh_from_db()
    return stored


def _send(stored: StoredArtifact) -> None:
    engine = pull_plan.ollama_of(stored.host) if stored.artifact.source == Artifact.Source.OLLAMA else None
    if engine is not None:
        runner_queue.delete_model(engine.pk, stored.artifact.ref)
    elif job := stored.jobs.order_by("-pk").first():
        pulling.discard(job)
