"""What is running: leases of runners and the deployments people may use."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.db.models.functions import Now

from models_admin.backends.capabilities import CAPABILITIES, continuing
from models_admin.models import CatalogueModel, Deployment, Engine, Host, SlotLease, Worker
from models_admin.models.hosts import LOCAL_HOST as LOCAL_HOST

HEARTBEAT_SECONDS = 3
REAP_AFTER_SECONDS = 9
assert REAP_AFTER_SECONDS >= 3 * HEARTBEAT_SECONDS
DEMO_MODEL = "r1-tiny"


@dataclass(frozen=True)
class Choice:
    """A model that a person may ask for; warm where any of its deployments is. `is_cloud`: it leaves the house."""

    key: str
    name: str
    is_warm: bool
    is_cloud: bool = False


def shown_name(host: Host) -> str:
    """As people read it."""
    return str(host)


def place_of(engine: Engine) -> str:
    """Where people's words go: a machine, or a cloud by its name."""
    return str(engine.get_kind_display()) if engine.is_cloud else shown_name(engine.host)


def local_host() -> Host:
    host, _ = Host.objects.get_or_create(name=LOCAL_HOST, defaults={"queue": f"host.{LOCAL_HOST}"})
    return host


def register_worker(name: str) -> Worker:
    """Take the lease row of this process under a new epoch: whatever had the name before is fenced."""
    Worker.objects.filter(name=name).delete()
    return Worker.objects.create(name=name, host=local_host(), epoch=uuid.uuid4(), seen_at=Now())


def renew(worker_id: int) -> bool:
    """Renew a lease; False when somebody reaped the row."""
    return Worker.objects.filter(pk=worker_id).update(seen_at=Now()) == 1


def drain(worker_id: int) -> None:
    Worker.objects.filter(pk=worker_id).update(is_draining=True)


def silent_workers() -> list[int]:
    limit = Now() - timedelta(seconds=REAP_AFTER_SECONDS)
    return list(Worker.objects.filter(seen_at__lt=limit).values_list("pk", flat=True))


def forget_silent(worker_ids: list[int]) -> None:
    """Delete those of the rows that are silent still."""
    limit = Now() - timedelta(seconds=REAP_AFTER_SECONDS)
    Worker.objects.filter(pk__in=worker_ids, seen_at__lt=limit).delete()


def has_live_worker() -> bool:
    return Worker.objects.filter(seen_at__gt=Now() - timedelta(seconds=10), is_draining=False).exists()


def can_write() -> bool:
    """A write that changes nothing but has to take the database's write lock."""
    Host.objects.filter(name=LOCAL_HOST).update(name=LOCAL_HOST)
    return True


def has_deployment_to_ask() -> bool:
    """One that is warm, or that the site loads when somebody asks."""
    states = Deployment.State
    on_demand = Q(launch__isnull=False) | Q(engine__kind__in=[kind for kind, can in CAPABILITIES.items() if can.load])
    cold = on_demand & Q(state__in=[states.STOPPED, states.STARTING, states.DRAINING])
    return Deployment.objects.filter(Q(state=states.WARM) | cold).exists()


def choices() -> list[Choice]:
    """The models on offer, warm ones first."""
    found = []
    for model in CatalogueModel.objects.filter(is_visible=True).prefetch_related("artifacts__deployments__engine"):
        deployments = [d for a in model.artifacts.all() for d in a.deployments.all()]
        is_warm = any(d.state == Deployment.State.WARM for d in deployments)
        if deployments:
            found.append(Choice(model.key, model.name, is_warm, any(d.engine.is_cloud for d in deployments)))
    return sorted(found, key=lambda choice: (not choice.is_warm, choice.name))


def is_offered(model_key: str) -> bool:
    """Whether people may ask for it, warm or not."""
    return CatalogueModel.objects.filter(key=model_key, is_visible=True, artifacts__deployments__isnull=False).exists()


def is_cloud(model_key: str) -> bool:
    """Whether any engine that serves it is a cloud: then nothing private may be asked of it."""
    return Deployment.objects.filter(artifact__model__key=model_key, engine__is_cloud=True).exists()


def can(model_key: str, ability: str) -> bool:
    """Whether every engine that serves it has this capability (a field of `Capabilities`): any of them may answer."""
    kinds = Deployment.objects.filter(artifact__model__key=model_key).values_list("engine__kind", flat=True)
    return all(getattr(CAPABILITIES[kind], ability) for kind in kinds)


def can_continue(model_key: str, ability: str) -> bool:
    """Whether any replica of it can go on behind a text; `ability` as of `continuing`."""
    rows = Deployment.objects.filter(artifact__model__key=model_key).values_list("engine__kind", "artifact__ref")
    return any(ability in continuing(kind, ref) for kind, ref in rows)


def warm_deployments(model_key: str) -> list[Deployment]:
    """Those that take answers now: one that is being measured takes none for the moment."""
    return list(
        Deployment.objects.filter(artifact__model__key=model_key, state=Deployment.State.WARM, stage="")
        .select_related("engine", "artifact")
        .order_by("pk")
    )


class NoSlotFree(Exception):
    """The deployment has fewer free slots than were asked for."""


def take_slots(deployment: Deployment, holders: Sequence[uuid.UUID]) -> None:
    """Lease the lowest free slots, one to each holder. Raises NoSlotFree, or IntegrityError where another leader
    chose the same number at the same moment; call it inside a transaction, which then takes all back.

    The row is locked: whoever unloads it locks it too, and then either sees these leases or keeps us from them.
    """
    if not Deployment.objects.select_for_update(no_key=True).filter(
        pk=deployment.pk, state=Deployment.State.WARM, stage=""
    ):
        raise NoSlotFree
    taken = set(SlotLease.objects.filter(deployment=deployment).values_list("number", flat=True))
    free = [number for number in range(1, deployment.slots + 1) if number not in taken]
    if len(free) < len(holders):
        raise NoSlotFree
    SlotLease.objects.bulk_create(
        SlotLease(deployment=deployment, number=number, holder=holder)
        for number, holder in zip(free, holders, strict=False)
    )


def keep_slots_of(holders: QuerySet[Any]) -> None:
    """Free all slots but those of `holders`, a query of ids: a person may be deleted while his answer runs."""
    SlotLease.objects.exclude(holder__in=holders).delete()


def give_slot_back(holder: uuid.UUID) -> None:
    """Its deployment is idle from now on, if nobody else uses it."""
    used = SlotLease.objects.filter(holder=holder).values("deployment")
    Deployment.objects.filter(pk__in=used).update(last_used_at=Now())
    SlotLease.objects.filter(holder=holder).delete()


def slots_in_use() -> dict[int, int]:
    """Leased slots by deployment id."""
    counts: dict[int, int] = {}
    for deployment_id in SlotLease.objects.values_list("deployment_id", flat=True):
        counts[deployment_id] = counts.get(deployment_id, 0) + 1
    return counts
