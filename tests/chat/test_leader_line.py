"""What the leader's line makes of the database, turn by turn: who has used more than expected, less, or nothing."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import pytest
from django.db import IntegrityError, transaction

from accounts.models import User
from chat import generation, scheduling, settlement
from chat.generation import Ask
from chat.line_memory import LineMemory
from chat.models import Generation
from models_admin.models import Deployment, RateCard, SlotLease

Make = Callable[..., Ask]


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="a long password")


@pytest.fixture(autouse=True)
def known_speed(deployment: Deployment) -> None:
    """Two slots and 10 ms a token: an answer of which nothing is known is expected to cost 5,000 GPU ms."""
    RateCard.objects.create(deployment=deployment, prefill_us_per_token=100, decode_us_per_token=10_000)


def next_of(memory: LineMemory) -> str:
    """Whose question would be released next."""
    with memory.turn() as line:
        entry = line.pick("known")
    return User.objects.get(pk=entry.flow).username if entry else ""


def both_running(person: User, bob: User, ask: Make) -> tuple[LineMemory, Generation, Generation]:
    """Both have a slot and another question, ann's asked first."""
    memory = LineMemory()
    for each in (person, bob, person, bob):
        generation.submit(each, ask())
    assert scheduling.release_what_can_run(memory) == 2
    released = Generation.objects.filter(state="released")
    return memory, released.get(user=person), released.get(user=bob)


def test_who_writes_more_than_expected_pays_while_he_writes(person: User, bob: User, ask: Make) -> None:
    memory, hers, _his = both_running(person, bob, ask)
    assert next_of(memory) == "ann"
    Generation.objects.filter(pk=hers.pk).update(gpu_ms=60_000)
    assert next_of(memory) == "bob"


def test_who_stops_early_gets_the_rest_back(person: User, bob: User, ask: Make) -> None:
    memory, _hers, his = both_running(person, bob, ask)
    settlement.end_unstarted(his.pk, "stopped", "stopped")
    assert next_of(memory) == "bob"


def test_what_was_used_counts_under_the_next_leader_too(person: User, bob: User, ask: Make) -> None:
    memory, hers, his = both_running(person, bob, ask)
    for row, gpu_ms in ((hers, 60_000), (his, 1_000)):
        settlement.end_unstarted(row.pk, "done", "")
        Generation.objects.filter(pk=row.pk).update(gpu_ms=gpu_ms)
    assert next_of(memory) == "bob"
    leader = uuid.uuid4()
    assert scheduling.hold_lease(leader)
    memory.save(leader)
    assert next_of(LineMemory()) == "bob"


def test_who_finds_no_slot_after_all_keeps_his_place_and_pays_nothing(
    person: User, bob: User, ask: Make, deployment: Deployment
) -> None:
    memory = LineMemory()
    hers = generation.submit(person, ask()).generation
    generation.submit(bob, ask())
    with memory.turn() as line:
        line.take(str(hers))
        for number in (1, 2):  # another leader was quicker
            SlotLease.objects.create(deployment=deployment, number=number, holder=uuid.uuid4())
        assert scheduling.release([hers], deployment, line) == 0
        entry = line.pick("known")
    assert entry is not None
    assert entry.key == str(hers)
    assert Generation.objects.get(pk=hers).state == "waiting"


def test_who_stops_before_the_release_is_not_released(person: User, ask: Make, deployment: Deployment) -> None:
    memory = LineMemory()
    hers = generation.submit(person, ask()).generation
    with memory.turn() as line:
        line.take(str(hers))
        generation.stop(hers, by=person)
        assert scheduling.release([hers], deployment, line) == 0
        assert line.pick("known") is None
    assert Generation.objects.get(pk=hers).state == "stopped"
    assert not SlotLease.objects.exists()


def test_an_answer_that_has_begun_is_ended_by_its_runner_alone(person: User, bob: User, ask: Make) -> None:
    _memory, hers, _his = both_running(person, bob, ask)
    Generation.objects.filter(pk=hers.pk).update(state="running")
    generation.stop(hers.pk, by=person)
    hers.refresh_from_db()
    assert (hers.state, hers.wants_stop) == ("running", True)


def test_the_database_itself_gives_a_slot_to_one(deployment: Deployment) -> None:
    SlotLease.objects.create(deployment=deployment, number=1, holder=uuid.uuid4())
    with pytest.raises(IntegrityError), transaction.atomic():
        SlotLease.objects.create(deployment=deployment, number=1, holder=uuid.uuid4())
