"""Bad days of a shared box, through the doors of the database: hogs, a full box, moved clocks, runners that die."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from django.test import override_settings

from accounts.models import LedgerEntry, QuotaLimit, User
from chat import checkpointing, claiming, errors, generation, reaping, scheduling, settlement
from chat.generation import Ask
from chat.line_memory import LineMemory
from chat.models import Generation, Segment
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Deployment, Engine, RateCard, Worker

Make = Callable[..., Ask]
PREFILL, DECODE, PROMPT, OUTPUT = 200, 10_000, 50, 30
DONE = Outcome("done", "", "t", "a", 2, prompt_tokens=PROMPT, thinking_tokens=10, answer_tokens=OUTPUT - 10)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="a long password")


@pytest.fixture(autouse=True)
def known_speed(deployment: Deployment) -> None:
    RateCard.objects.create(deployment=deployment, prefill_us_per_token=PREFILL, decode_us_per_token=DECODE)


def run_next(memory: LineMemory, worker: int, outcome: Outcome = DONE) -> list[Generation]:
    """A turn of the leader, and all that it released to its end."""
    scheduling.release_what_can_run(memory)
    released = list(Generation.objects.filter(state="released"))
    for row in released:
        assert claiming.claim(row.pk, row.attempt, worker)
        assert settlement.settle(row.pk, row.attempt, worker, outcome)
    return released


@override_settings(WAITING_PER_USER=100)
def test_after_sixty_long_calls_of_one_another_is_next(
    person: User, bob: User, ask: Make, deployment: Deployment
) -> None:
    Deployment.objects.update(slots=1)
    memory, worker = LineMemory(), fleet.register_worker("w").pk
    for _ in range(60):
        generation.submit(person, ask())
    assert [row.user for row in run_next(memory, worker)] == [person]
    generation.submit(bob, ask())
    assert [row.user for row in run_next(memory, worker)] == [bob]


def test_the_same_question_costs_the_same_in_an_empty_and_in_a_full_box(person: User, bob: User, ask: Make) -> None:
    memory, worker = LineMemory(), fleet.register_worker("w").pk
    generation.submit(person, ask())
    run_next(memory, worker)
    for _ in range(8):
        generation.submit(bob, ask())
    generation.submit(person, ask())
    while run_next(memory, worker):
        pass
    charged = set(LedgerEntry.objects.values_list("gpu_ms_charged", flat=True))
    assert charged == {(PROMPT * PREFILL // 2 + OUTPUT * DECODE // 2) // 1000}, "two slots share the card"
    assert LedgerEntry.objects.count() == 10


def test_another_time_zone_at_midnight_gives_nobody_a_second_day(person: User, ask: Make) -> None:
    QuotaLimit.objects.create(
        subject_kind="user", subject_id=person.pk, unit="requests", window="day", amount=1, time_zone="UTC"
    )
    now = datetime(2026, 3, 2, 23, 59, tzinfo=UTC)
    with patch("django.utils.timezone.now", lambda: now):
        generation.submit(person, ask())
        for zone in ("Asia/Shanghai", "America/Los_Angeles"):
            User.objects.filter(pk=person.pk).update(time_zone=zone)
            with pytest.raises(errors.QuotaUsedUp):
                generation.submit(User.objects.get(pk=person.pk), ask())
    with patch("django.utils.timezone.now", lambda: now + timedelta(minutes=1)):
        generation.submit(User.objects.get(pk=person.pk), ask())


def test_an_attempt_that_wrote_nothing_is_charged_nothing(person: User, ask: Make) -> None:
    """The first one wrote and broke off; the runner of the second one died before its first token."""
    Engine.objects.update(kind="llama.cpp")
    made, worker = generation.submit(person, ask("word " * 200)), fleet.register_worker("w").pk
    for attempt, gpu_ms in ((1, 5), (2, 0)):
        scheduling.release_what_can_run()
        assert claiming.claim(made.generation, attempt, worker)
        if gpu_ms:
            row = checkpointing.Checkpoint(made.generation, made.answer, 1, "t", "", 1, 1, 0, gpu_ms, True)
            checkpointing.checkpoint(worker, [row])
        Worker.objects.filter(pk=worker).update(seen_at=datetime(2026, 1, 1, tzinfo=UTC))
        reaping.reap()
        worker = fleet.register_worker(uuid.uuid4().hex).pk
    first, second = Segment.objects.order_by("attempt")
    assert (first.thinking_tokens, first.prompt_tokens > 0) == (1, True)
    assert (second.prompt_tokens, second.thinking_tokens, second.gpu_ms) == (0, 0, 0)
