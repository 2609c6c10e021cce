"""Which deployment is loaded because somebody waits, by rows: nothing here needs an engine."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.hosts.inventory import Inventory
from models_admin.loads import deploying, warm_sweep
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, Host

pytestmark = pytest.mark.django_db
GIB = 1 << 30
OLLAMA, ELSEWHERE = "http://127.0.0.1:11434", "http://10.9.9.9:11434"


@pytest.fixture
def here() -> Host:
    hosts.note_local(Inventory(8 * GIB, 7 * GIB))
    return fleet.local_host()


def deployed(host: Host, url: str, *, size: int = GIB, **more: object) -> Deployment:
    model, _ = CatalogueModel.objects.get_or_create(key="m:1b", name="M")
    artifact, _ = Artifact.objects.get_or_create(model=model, source="api", ref="m:1b")
    engine = Engine.objects.create(host=host, kind="ollama", base_url=url)
    return Deployment.objects.create(
        engine=engine, artifact=artifact, context_tokens=4096, slots=4, measured_bytes=size,
        **{"state": "stopped", **more},
    )  # fmt: skip


def state(row: Deployment) -> str:
    row.refresh_from_db()
    return row.state


def test_after_however_many_failures_it_is_tried_again_in_the_end(here: Host) -> None:
    long_ago = timezone.now() - timedelta(days=3)
    row = deployed(here, OLLAMA, state="failed", reason="load_failed", load_failures=200, failures=30_000)
    warm_sweep.on_demand("m:1b")
    assert state(row) == "failed"
    Deployment.objects.update(state_since=long_ago)
    warm_sweep.on_demand("m:1b")
    assert state(row) == "starting"


def test_an_engine_that_is_away_is_not_tried_by_loading(here: Host) -> None:
    row = deployed(here, OLLAMA, state="failed", reason="engine_unreachable")
    Deployment.objects.update(state_since=timezone.now() - timedelta(days=3))
    warm_sweep.on_demand("m:1b")
    assert state(row) == "failed"


def test_the_memory_of_an_engine_elsewhere_is_none_of_this_machines(here: Host) -> None:
    row = deployed(here, ELSEWHERE, size=22 * GIB)
    warm_sweep.on_demand("m:1b")
    assert state(row) == "starting"


def test_where_one_has_no_room_the_next_one_is_loaded(here: Host) -> None:
    big = deployed(here, OLLAMA, size=22 * GIB)
    small = deployed(here, "http://127.0.0.1:11435", state="failed", reason="load_failed", load_failures=1)
    Deployment.objects.update(state_since=timezone.now() - timedelta(days=3))
    warm_sweep.on_demand("m:1b")
    assert (state(big), state(small)) == ("stopped", "starting")


def test_an_attached_ollamas_model_is_the_one_that_is_pulled(here: Host) -> None:
    row = deployed(here, OLLAMA)
    pulled = Artifact.objects.create(model=row.artifact.model, source="ollama", ref="m:1b", digest="d" * 64)
    assert deploying.deploy(pulled, here, by="ann").pk == row.pk
    assert list(Deployment.objects.values_list("artifact__source", flat=True)) == ["ollama"]
