"""What is put aside for an answer: what its engine will read, counted once, and what it will write."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace

import pytest

from accounts.models import Reservation, User
from chat import claiming, generation, scheduling, settlement
from chat.generation import Ask, Submitted
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Deployment, Engine, RateCard, Worker

Make = Callable[..., Ask]
SAID = Outcome(state="stopped", reason="stopped", thinking="", text="one", last_seq=1, has_token=True)


@pytest.fixture(autouse=True)
def rate(deployment: Deployment) -> None:
    """1 ms a token read, next to nothing one written: an answer takes as many GPU ms as tokens are read, and one."""
    Engine.objects.update(kind="vllm")
    Deployment.objects.update(slots=1)
    RateCard.objects.create(deployment=deployment, prefill_us_per_token=1_000, decode_us_per_token=1)


@pytest.fixture
def worker(db: None) -> Worker:
    return fleet.register_worker("w")


def begin(made: Submitted, attempt: int, worker: Worker) -> None:
    scheduling.release_what_can_run()
    assert claiming.claim(made.generation, attempt, worker.pk)


def put_aside(made: Submitted) -> int:
    return Reservation.objects.get(generation_id=made.generation).amount


def test_what_an_answer_in_parts_was_made_from_is_read_once(
    person: User, deployment: Deployment, ask: Make, worker: Worker
) -> None:
    made = generation.submit(person, ask("x" * 100))
    assert put_aside(made) == 30 + 1
    begin(made, 1, worker)
    assert settlement.hand_on(made.generation, 1, worker.pk, replace(SAID, prompt_tokens=1000, answer_tokens=10))
    begin(made, 2, worker)
    whole = replace(SAID, text="one two", prompt_tokens=1010, answer_tokens=20)
    assert settlement.settle(made.generation, 2, worker.pk, whole)
    further = generation.go_on(person, made.answer, uuid.uuid4())
    assert put_aside(further) == 1000 + 30 + 1
    generation.stop(further.generation, by=person)
    again = generation.regenerate(person, made.answer, uuid.uuid4())
    assert put_aside(again) == 1000 + 1
    generation.stop(again.generation, by=person)
    following = generation.submit(person, ask("x" * 100, conversation=made.conversation))
    assert put_aside(following) == 1000 + 30 + 30 + 1
