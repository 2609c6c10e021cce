"""Many at once, on real rows that every thread sees."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from django.db import connection, transaction
from django.test import override_settings
from django.utils import timezone

from accounts.models import QuotaCounter, QuotaLimit, Reservation, User
from accounts.quota_windows import window_of
from chat import checkpointing, claiming, errors, generation, scheduling, settlement
from chat.generation import Ask, Submitted
from chat.models import Generation, Message
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, SlotLease
from tests.processes import until

pytestmark = [pytest.mark.concurrent, pytest.mark.django_db(transaction=True)]
THREADS = 16


def at_once(function: Callable[[int], object]) -> list[object]:
    def call(number: int) -> object:
        try:
            return function(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(call, range(THREADS)))


@pytest.fixture
def deployment(transactional_db: None, deployment: Deployment) -> Deployment:
    return deployment


def test_the_same_wish_sent_by_many_is_one(deployment: Deployment) -> None:
    person = User.objects.create_user("ann")
    wish = Ask(key=uuid.uuid4(), text="hello", model="known")
    made = at_once(lambda _number: generation.submit(person, wish))
    assert len({each.generation for each in made if isinstance(each, Submitted)}) == 1
    assert (Generation.objects.count(), Message.objects.count(), Reservation.objects.count()) == (1, 2, 1)


def test_two_tabs_press_regenerate_and_both_follow_one_answer(deployment: Deployment) -> None:
    person = User.objects.create_user("ann")
    first = generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known"))
    generation.stop(first.generation, by=person)

    def press(_number: int) -> object:
        try:
            return generation.regenerate(person, first.answer, uuid.uuid4())
        except errors.StillAnswering:
            return None

    assert sum(each is not None for each in at_once(press)) == 1


def test_slots_are_never_oversubscribed_by_many_leaders(deployment: Deployment) -> None:
    people = [User.objects.create_user(f"p{number}") for number in range(6)]
    for person in people:
        generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known"))
    at_once(lambda _number: scheduling.release_what_can_run())
    assert SlotLease.objects.count() == deployment.slots
    assert Generation.objects.filter(state="released").count() == deployment.slots


def test_many_runners_claim_and_one_gets_it(deployment: Deployment) -> None:
    person = User.objects.create_user("ann")
    made = generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known"))
    scheduling.release_what_can_run()
    workers = [fleet.register_worker(f"w{number}").pk for number in range(THREADS)]
    claims = at_once(lambda number: claiming.claim(made.generation, 1, workers[number]))
    assert sum(claim is not None for claim in claims) == 1


def test_the_same_wish_in_one_conversation_is_one_for_all_who_send_it(deployment: Deployment) -> None:
    person = User.objects.create_user("ann")
    first = generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known"))
    generation.stop(first.generation, by=person)
    wish = Ask(key=uuid.uuid4(), text="again", model="known", conversation=first.conversation)
    made = at_once(lambda _number: generation.submit(person, wish))
    assert len({each.generation for each in made if isinstance(each, Submitted)}) == 1
    assert Generation.objects.count() == 2


@override_settings(RUNNING_PER_USER=8)
def test_a_checkpoint_never_overwrites_what_is_settled(deployment: Deployment) -> None:
    Deployment.objects.update(slots=8)
    person, worker = User.objects.create_user("ann"), fleet.register_worker("w").pk
    wishes = [generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known")) for _ in range(8)]
    scheduling.release_what_can_run()
    for made in wishes:
        assert claiming.claim(made.generation, 1, worker)
    rows = [checkpointing.Checkpoint(m.generation, m.answer, 1, "", "half", 1, 0, 1, 0, True) for m in wishes]
    end = Outcome(state="done", reason="", thinking="", text="whole", last_seq=2)

    def settle_or_checkpoint(number: int) -> object:
        if number % 2:
            return checkpointing.checkpoint(worker, reversed(rows))
        return settlement.settle(wishes[number // 2].generation, 1, worker, end)

    at_once(settle_or_checkpoint)
    assert [m.text for m in Message.objects.filter(role="assistant")] == ["whole"] * 8


def test_a_switch_that_the_database_ends_for_another_is_done_again(deployment: Deployment) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no deadlocks")
    person, known = User.objects.create_user("ann"), deployment.artifact
    other = Artifact.objects.create(model=CatalogueModel.objects.create(key="other", name="Other"), ref="other")
    Deployment.objects.create(engine=deployment.engine, artifact=other, context_tokens=2048, slots=1)
    fields = {"subject_kind": "everyone", "unit": "requests", "window": "month", "amount": 9}
    for artifact in (known, other):
        limit = QuotaLimit.objects.create(**fields, model_key=artifact.model.key)
        start, end = window_of(limit, timezone.now())
        QuotaCounter.objects.create(limit=limit, window_start=start, window_end=end)
    made = generation.submit(person, Ask(key=uuid.uuid4(), text="hello", model="known"))
    is_held, let_go = threading.Event(), threading.Event()

    def hold_in_the_other_order() -> None:
        """Somebody who takes of one limit, then gives back of the other; never the one who is sent away."""
        with closing(connection), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '1min'")
            QuotaCounter.objects.filter(limit__model_key="other").update(debt=0)
            is_held.set()
            assert let_go.wait(30)
            QuotaCounter.objects.filter(limit__model_key="known").update(debt=0)

    def switch() -> Submitted:
        with closing(connection):
            return generation.regenerate(person, made.answer, uuid.uuid4(), model="other")

    with ThreadPoolExecutor(2) as pool:
        holding = pool.submit(hold_in_the_other_order)
        assert is_held.wait(30)
        switched = pool.submit(switch)
        until(lambda: _waits_for_a_lock() == 1, "the switch waits")
        let_go.set()
        holding.result(60)
        assert Generation.objects.get(pk=switched.result(60).generation).model_key == "other"
    reserved = QuotaCounter.objects.order_by("limit__model_key").values_list("limit__model_key", "reserved")
    assert dict(reserved) == {"known": 0, "other": 1}


def _waits_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])
