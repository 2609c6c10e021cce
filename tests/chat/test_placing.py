"""The line and the replicas together: who waits is released where there is room, and the conversation stays put."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest
from django.utils import timezone

from accounts.models import User
from chat import claiming, generation, scheduling, settlement
from chat.generation import Ask, Submitted
from chat.line_memory import LineMemory
from chat.models import Conversation, Generation
from chat.outcome import Outcome
from models_admin.engines import circuit, fleet
from models_admin.models import Deployment, Engine, SlotLease, Worker

Make = Callable[..., Ask]
DONE = Outcome(state="done", reason="", thinking="", text="46", last_seq=1, answer_tokens=1)


@pytest.fixture
def second(deployment: Deployment) -> Deployment:
    """Another replica of the same model."""
    engine = Engine.objects.create(host=fleet.local_host(), kind="vllm", base_url="http://127.0.0.1:8")
    return Deployment.objects.create(engine=engine, artifact=deployment.artifact, context_tokens=2048, slots=2)


def where(*made: Submitted) -> list[int | None]:
    return [Generation.objects.get(pk=each.generation).deployment_id for each in made]


def answered(made: Submitted, worker: Worker) -> None:
    """Its whole life, up to the end."""
    row = Generation.objects.get(pk=made.generation)
    assert claiming.claim(row.pk, row.attempt, worker.pk)
    assert settlement.settle(row.pk, row.attempt, worker.pk, DONE)


def people(count: int) -> list[User]:
    return [User.objects.create_user(f"p{uuid.uuid4().hex[:8]}") for _ in range(count)]


def test_answers_are_spread_over_the_replicas_and_never_beyond_their_slots(
    deployment: Deployment, second: Deployment, ask: Make
) -> None:
    made = [generation.submit(person, ask()) for person in people(5)]
    assert scheduling.release_what_can_run() == 4
    places = where(*made)
    assert sorted(places[:4], key=str) == sorted([deployment.pk, second.pk] * 2, key=str)
    assert places[4] is None


def test_a_conversation_goes_back_to_where_it_was(
    person: User, deployment: Deployment, second: Deployment, ask: Make
) -> None:
    worker = fleet.register_worker("w")
    holder = people(1)[0]
    generation.submit(holder, ask())
    scheduling.release_what_can_run()  # the first replica has one more than the second from now on
    first = generation.submit(person, ask())
    scheduling.release_what_can_run()
    assert where(first) == [second.pk]
    answered(first, worker)
    Generation.objects.filter(user=holder).update(deployment=second)
    SlotLease.objects.filter(deployment=deployment).update(deployment=second)
    then = generation.submit(person, ask(conversation=first.conversation))
    scheduling.release_what_can_run()
    assert where(then) == [second.pk], "its prefix is in that cache, though the other one is idle"


def test_a_local_conversation_that_only_a_cloud_could_answer_ends_with_the_reason(
    person: User, deployment: Deployment, ask: Make
) -> None:
    made = generation.submit(person, ask())
    Engine.objects.update(is_cloud=True)
    scheduling.release_what_can_run()
    row = Generation.objects.get(pk=made.generation)
    assert (row.state, row.reason) == ("failed", "cloud_not_allowed")
    locked = generation.submit(User.objects.create_superuser("root"), ask())
    Conversation.objects.filter(pk=locked.conversation).update(is_local_only=True)
    scheduling.release_what_can_run()
    assert Generation.objects.get(pk=locked.generation).reason == "local_only"


def test_who_was_released_to_a_cloud_is_asked_for_once_more_at_the_last_door(
    person: User, deployment: Deployment, ask: Make
) -> None:
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    Engine.objects.update(is_cloud=True)
    Conversation.objects.update(is_local_only=True)
    row = Generation.objects.get(pk=made.generation)
    with pytest.raises(claiming.NotAllowed, match="local_only"):
        claiming.claim(row.pk, row.attempt, fleet.register_worker("w").pk)
    assert Generation.objects.get(pk=row.pk).state == "released", "whatever is raised has moved nothing"


def test_one_that_cannot_be_placed_keeps_nobody_behind_it_waiting(
    person: User, deployment: Deployment, ask: Make
) -> None:
    Deployment.objects.update(slots=1)
    Engine.objects.update(is_cloud=True)
    allowed = User.objects.create_superuser("root")
    kept = generation.submit(allowed, ask())
    Conversation.objects.update(is_local_only=True)
    free = generation.submit(allowed, replace(ask(), key=uuid.uuid4()))
    scheduling.release_what_can_run()
    scheduling.release_what_can_run()
    states = [Generation.objects.get(pk=each.generation).state for each in (kept, free)]
    assert states == ["failed", "released"]


def test_a_replica_that_fails_again_and_again_rests_is_tried_with_one_and_taken_back(
    deployment: Deployment, second: Deployment, ask: Make
) -> None:
    for _ in range(circuit.FAILURES):
        circuit.note_failure(deployment.pk)
    made = [generation.submit(person, ask()) for person in people(3)]
    scheduling.release_what_can_run()
    assert where(*made) == [second.pk, second.pk, None], "it rests"
    Deployment.objects.filter(pk=deployment.pk).update(failed_at=timezone.now() - circuit.REST)
    more = generation.submit(people(1)[0], ask())
    scheduling.release_what_can_run()
    assert where(made[2], more) == [deployment.pk, None], "it is tried with one"
    circuit.note_success(deployment.pk)
    scheduling.release_what_can_run()
    assert where(more) == [deployment.pk], "it is taken back"


def test_the_only_replica_is_never_taken_out(deployment: Deployment, ask: Make) -> None:
    for _ in range(circuit.FAILURES):
        circuit.note_failure(deployment.pk)
    made = [generation.submit(person, ask()) for person in people(2)]
    scheduling.release_what_can_run()
    assert where(*made) == [deployment.pk] * 2


def test_who_waits_for_a_replica_at_home_keeps_his_place_while_a_cloud_is_free(
    person: User, deployment: Deployment, second: Deployment, ask: Make
) -> None:
    Deployment.objects.update(slots=1)
    memory = LineMemory()
    for _ in range(3):
        made = generation.submit(person, ask())
    scheduling.release_what_can_run(memory)
    Engine.objects.filter(pk=second.engine_id).update(is_cloud=True)
    SlotLease.objects.filter(deployment=second).delete()
    scheduling.release_what_can_run(memory)
    assert where(made) == [None]
    assert str(made.generation) in scheduling.places_and_newcomers(memory), "he is told his place, turn after turn"
