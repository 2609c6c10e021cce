"""What somebody typed, found: a host, files, a pull, a deployment, its pins. Sentences where none is, or several."""

from __future__ import annotations

from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family import artifacts, model_addresses
from models_admin.loads import deploying, outlook
from models_admin.models import Artifact, Deployment, Host, Pin, PullJob, StoredArtifact


class NotFound(Exception):
    """A sentence for whoever typed it."""


def host(name: str) -> Host:
    """Raises NotFound. That of the site needs not have been seen yet."""
    if name == fleet.LOCAL_HOST:
        return fleet.local_host()
    found = Host.objects.filter(name=name).first()
    if found is None:
        raise NotFound(_("No host is called “%(name)s”.") % {"name": name})
    return found


def files(name: str, *, source: str = "", sha256: str = "") -> Artifact:
    """What is known by this name; else it is added, which asks its source. Raises AddError."""
    if name.startswith(("http://", "https://")):
        return model_addresses.add(name, sha256=sha256)
    known = Artifact.objects.filter(Q(ref=name) | Q(model__key=name), source__in=artifacts.PINNED)
    if source:
        known = known.filter(source=source)
    return known.order_by("-pk").first() or artifacts.add(name, source=source).artifact


def job(name: str, where: Host) -> PullJob:
    """The newest pull of these files there. Raises NotFound."""
    jobs = PullJob.objects.filter(stored__host=where).filter(_named(name, "stored__artifact__"))
    found = jobs.select_related("stored__artifact", "stored__host").order_by("-pk").first()
    if found is None:
        raise NotFound(_("Nobody has asked for %(model)s on %(host)s.") % {"model": name, "host": where.name})
    return found


def stored(name: str, where: Host) -> StoredArtifact:
    """The files that lie there, or lay there once. Raises NotFound."""
    rows = StoredArtifact.objects.filter(host=where).filter(_named(name, "artifact__"))
    found = rows.select_related("artifact__model", "host").order_by("-pk").first()
    if found is None:
        raise NotFound(_("Nobody has asked for %(model)s on %(host)s.") % {"model": name, "host": where.name})
    return found


def deployment(name: str, where: Host | None) -> Deployment:
    """The one of that name, there. Raises NotFound, also where several hosts have one and none was named."""
    rows = deployments(name, where)
    if not rows:
        raise NotFound(_("%(model)s is not deployed%(where)s.") % {"model": name, "where": _on(where)})
    if len(rows) > 1:
        places = ", ".join(f"{row.engine.host.name} ({row.engine.base_url})" for row in rows)
        raise NotFound(_("%(model)s is deployed more than once: %(places)s.") % {"model": name, "places": places})
    return rows[0]


def deployments(name: str, where: Host | None) -> list[Deployment]:
    rows: QuerySet[Deployment] = Deployment.objects.filter(_named(name, "artifact__"), engine__is_cloud=False)
    if where is not None:
        rows = rows.filter(engine__host=where)
    return list(rows.select_related("engine__host", "artifact__model", "launch").order_by("pk"))


def deployment_to_warm(name: str, where: Host | None, *, by: str) -> Deployment:
    """What is deployed, else its files that lie there, deployed as usual. Raises NotFound, DeployError."""
    place = where or fleet.local_host()
    if deployments(name, where):
        return deployment(name, where)
    found = _lying(name, place)
    if found is None:
        raise NotFound(_("%(model)s is not on %(host)s: pull it first.") % {"model": name, "host": place.name})
    return deploying.deploy(found, place, by=by)


def pins(row: Deployment) -> list[Pin]:
    """Those that hold now. Raises NotFound."""
    found = list(Pin.objects.filter(outlook.live_pins(), deployment=row).select_related("deployment").order_by("pk"))
    if not found:
        raise NotFound(_("Nobody has pinned %(model)s.") % {"model": row.artifact.ref})
    return found


def _lying(name: str, place: Host) -> Artifact | None:
    """The newest files of that name that are there: pulled, or a file that its owner put on the site's own machine."""
    ready = StoredArtifact.objects.filter(host=place, state=StoredArtifact.State.READY).values("artifact")
    is_there = Q(pk__in=ready)
    if place.name == fleet.LOCAL_HOST:
        is_there |= Q(ref__startswith="/")
    rows = Artifact.objects.filter(_named(name, "")).filter(is_there)
    return rows.select_related("model").order_by("-pk").first()


def _named(name: str, path: str) -> Q:
    return Q(**{f"{path}ref": name}) | Q(**{f"{path}model__key": name})


def _on(where: Host | None) -> str:
    return _(" on %(host)s") % {"host": where.name} if where else ""
