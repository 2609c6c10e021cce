"""The time that answers really had of the cards: two beside each other share it, and a lost runner's counts too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client
from django.utils import timezone

from accounts import rollup
from accounts.models import LedgerEntry, User
from chat import claiming, generation, reaping, scheduling, settlement
from chat.generation import Ask
from chat.models import Generation
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Deployment, Engine, Launch, Worker

Make = Callable[..., Ask]
HOUR = 3_600_000  # ms
DONE = Outcome(state="done", reason="", thinking="", text="46", last_seq=1, answer_tokens=1, has_token=True)
READ = Outcome(**{**vars(DONE), "prefill_ms": 1_000, "decode_ms": HOUR - 1_000})


@pytest.fixture
def worker(db: None) -> Worker:
    return fleet.register_worker("w")


@pytest.fixture
def running(person: User, deployment: Deployment, ask: Make, worker: Worker) -> list[Generation]:
    """Two answers that began an hour ago on one deployment."""
    made = [generation.submit(person, ask()) for _ in range(2)]
    scheduling.release_what_can_run()
    for each in made:
        assert claiming.claim(each.generation, 1, worker.pk)
    Generation.objects.update(started_at=timezone.now() - timedelta(hours=1))
    return list(Generation.objects.order_by("pk"))


def board() -> str:
    rollup.catch_up()
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return browser.get("/admin/accounts/boxday/").content.decode()


def test_two_answers_beside_each_other_had_a_card_for_an_hour(running: list[Generation], worker: Worker) -> None:
    for row in running:
        assert settlement.settle(row.pk, 1, worker.pk, READ)
    assert "the cards were at work for 1.00 h" in board()
    assert set(LedgerEntry.objects.values_list("gpu_ms_measured", flat=True)) == {HOUR // 2}


def test_who_goes_on_alone_has_the_card_alone(running: list[Generation], worker: Worker) -> None:
    first, second = running
    half = Outcome(**{**vars(DONE), "prefill_ms": HOUR // 2})
    assert settlement.settle(first.pk, 1, worker.pk, half)
    assert settlement.settle(second.pk, 1, worker.pk, READ)
    measured = dict(LedgerEntry.objects.values_list("key", "gpu_ms_measured"))
    assert measured == {f"{first.pk}/1/use": HOUR // 4, f"{second.pk}/1/use": HOUR * 3 // 4}


def test_a_model_on_two_cards_has_both(running: list[Generation], worker: Worker, deployment: Deployment) -> None:
    Launch.objects.create(deployment=deployment, program="vllm", port=1, gpus=[0, 1])
    for row in running:
        settlement.settle(row.pk, 1, worker.pk, READ)
    assert "the cards were at work for 2.00 h" in board()


def test_a_cloud_has_no_card_of_ours(running: list[Generation], worker: Worker) -> None:
    Engine.objects.update(is_cloud=True)
    settlement.settle(running[0].pk, 1, worker.pk, READ)
    assert LedgerEntry.objects.get().gpu_ms_measured == 0


def test_what_a_lost_runner_read_counts_until_it_fell_silent(running: list[Generation], settings: object) -> None:
    settings.AFTER_LOSS = "fail"  # type: ignore[attr-defined]
    Generation.objects.update(first_token_at=timezone.now() - timedelta(minutes=50))
    Worker.objects.update(seen_at=timezone.now() - timedelta(minutes=30))
    reaping.reap()
    assert round(sum(row.gpu_ms_measured for row in LedgerEntry.objects.all()) / 60_000) == 30
    assert {round(row.decode_ms / 60_000) for row in LedgerEntry.objects.all()} == {20}
