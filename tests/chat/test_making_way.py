"""Two models on a card that holds one: questions are collated by model, and nobody waits longer than the bound."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from accounts.models import User
from chat import generation, places, scheduling, settlement
from chat.generation import Ask
from chat.line_memory import LineMemory
from chat.models import Generation
from models_admin.engines import fleet
from models_admin.hosts import hosts
from models_admin.hosts.inventory import Inventory
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, SlotLease

pytestmark = pytest.mark.django_db
GIB = 1 << 30
LOAD = timedelta(seconds=50)


def deployed(name: str, *, state: str) -> Deployment:
    model = CatalogueModel.objects.create(key=name, name=name)
    artifact = Artifact.objects.create(model=model, source="api", ref=name)
    engine, _ = Engine.objects.get_or_create(host=fleet.local_host(), kind="ollama", base_url="http://127.0.0.1:11434")
    return Deployment.objects.create(
        engine=engine, artifact=artifact, context_tokens=4096, slots=2, measured_bytes=5 * GIB, load_ms=50_000,
        state=state,
    )  # fmt: skip


@pytest.fixture
def resident(db: None) -> Deployment:
    hosts.note_local(Inventory(8 * GIB, 3 * GIB))
    return deployed("resident", state="warm")


@pytest.fixture
def other(resident: Deployment) -> Deployment:
    return deployed("other", state="stopped")


@pytest.fixture
def asks(person: User) -> Callable[[str, timedelta], uuid.UUID]:
    def ask(model: str, ago: timedelta = timedelta(0)) -> uuid.UUID:
        made = generation.submit(person, Ask(key=uuid.uuid4(), text="hi", model=model)).generation
        Generation.objects.filter(pk=made).update(created_at=timezone.now() - ago)
        return made

    return ask


Asks = Callable[..., uuid.UUID]


def answer_one() -> None:
    lease = SlotLease.objects.order_by("since").first()
    if lease is not None:
        settlement.end_unstarted(lease.holder, "done", "")


def turns(count: int) -> LineMemory:
    """Each turn fills free slots and then an answer ends, so that the resident model is never without one."""
    memory = LineMemory()
    for _ in range(count):
        scheduling.release_what_can_run(memory)
        answer_one()
    scheduling.release_what_can_run(memory)
    return memory


def state_of(row: Deployment) -> str:
    return Deployment.objects.get(pk=row.pk).state


def test_a_model_that_is_always_asked_for_makes_way_after_the_bound(
    resident: Deployment, other: Deployment, asks: Asks
) -> None:
    for _ in range(20):
        asks("resident")
    asks("other", 6 * LOAD + timedelta(seconds=1))
    Deployment.objects.filter(pk=resident.pk).update(state_since=timezone.now() - 8 * LOAD)
    memory = turns(4)
    assert (state_of(resident), state_of(other)) == ("draining", "starting")
    assert Generation.objects.filter(state="waiting", model_key="resident").count() >= 17
    with memory.turn() as line:
        assert len(line) >= 18


@pytest.mark.parametrize(("waited", "resided"), [(5, 20), (20, 7)])
def test_before_its_time_it_keeps_the_card(
    resident: Deployment, other: Deployment, asks: Asks, waited: int, resided: int
) -> None:
    asks("other", waited * LOAD)
    for _ in range(10):
        asks("resident")
    Deployment.objects.filter(pk=resident.pk).update(state_since=timezone.now() - resided * LOAD)
    turns(5)
    assert (state_of(resident), state_of(other)) == ("warm", "stopped")


def test_what_nobody_asks_for_goes_at_once(resident: Deployment, other: Deployment, asks: Asks) -> None:
    asks("other")
    turns(0)
    assert (state_of(resident), state_of(other)) == ("draining", "starting")


def test_who_waits_for_a_model_that_makes_way_is_told_so(resident: Deployment, other: Deployment, asks: Asks) -> None:
    for _ in range(3):
        asks("resident")
    Deployment.objects.filter(pk=resident.pk).update(state_since=timezone.now() - 8 * LOAD)
    turns(0)
    asks("other", 7 * LOAD)
    memory = turns(0)
    told = places.places_of(memory.copy(), memory.held_back)
    assert {place.why.code for place in told.values()} == {"makes_way", "no_room_in_use"}
    assert [place.low for place in told.values() if place.why.code == "makes_way"] == [None]
