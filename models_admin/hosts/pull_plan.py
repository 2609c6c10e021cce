"""What a pull would mean, before anything is loaded: size, room, time, and why it may not be possible."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.models import Artifact, Engine, Host, PullJob, StoredArtifact


@dataclass(frozen=True)
class Plan:
    """Before anything is loaded. Bytes; `missing` of `total`; `seconds` by what this host's last pulls managed.

    None where nobody knows it. `why_not` is a sentence, '' where it can be pulled.
    """

    total: int | None
    missing: int | None
    free: int | None
    seconds: int | None
    is_ready: bool
    why_not: str = ""


def plan(artifact: Artifact, host: Host) -> Plan:
    stored = StoredArtifact.objects.filter(artifact=artifact, host=host).first()
    is_ready = stored is not None and stored.state == StoredArtifact.State.READY
    last = stored.jobs.order_by("-pk").first() if stored else None
    there = last.done_bytes if last and last.state != PullJob.State.CANCELLED else 0
    missing = None if artifact.bytes is None else 0 if is_ready else max(0, artifact.bytes - there)
    seen = hosts.seen(host)
    free = seen.disk_free_bytes if seen else None
    speed = _measured_speed(host)
    seconds = round(missing / speed) if missing is not None and speed else None
    return Plan(artifact.bytes, missing, free, seconds, is_ready, why_not(artifact, host, missing, free))


def why_not(artifact: Artifact, host: Host, missing: int | None = None, free: int | None = None) -> str:
    """A sentence; '' where it can be pulled. Bytes are compared where both are known."""
    about = {"model": artifact.ref, "host": fleet.shown_name(host)}
    if artifact.source == Artifact.Source.API:
        return _("%(model)s has no files: an engine serves it.") % about
    if artifact.ref.startswith("/"):
        return _("%(model)s is a file of this machine already: it can be warmed without a pull.") % about
    if artifact.source == Artifact.Source.OLLAMA and ollama_of(host) is None:
        return _("No Ollama is attached on %(host)s, which would have to pull %(model)s.") % about
    if missing is not None and free is not None and missing > free:
        short = {"size": f"{(missing - free) / 1e9:.1f} GB", **about}
        return _("%(size)s of disk are missing on %(host)s.") % short
    return ""


def ollama_of(host: Host) -> Engine | None:
    """The engine that pulls what is in Ollama's library."""
    return Engine.objects.filter(host=host, kind=Engine.Kind.OLLAMA).order_by("pk").first()


def _measured_speed(host: Host) -> int:
    """Bytes/s over the last whole pulls of this host; 0 where there was none."""
    done = PullJob.objects.filter(stored__host=host, state=PullJob.State.DONE, ended_at__isnull=False).order_by("-pk")[
        :3
    ]
    speeds = [
        job.done_bytes / max(1.0, (job.ended_at - job.created_at).total_seconds()) for job in done if job.ended_at
    ]
    return round(max(speeds)) if speeds else 0
