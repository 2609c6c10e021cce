"""What a wish leaves behind, and what is refused without leaving anything."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import override_settings
from django.utils import timezone

from accounts.models import LedgerEntry, Reservation, User
from chat import checkpointing, claiming, errors, generation, history, places, reaping, scheduling, settlement
from chat.generation import Ask
from chat.models import Conversation, Generation, Message, Segment
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.engines.secrets import SecretUnreadable
from models_admin.models import Deployment, SlotLease, Worker

Make = Callable[..., Ask]
DONE = Outcome(state="done", reason="", thinking="so", text="46", last_seq=2, thinking_tokens=1, answer_tokens=1)


def test_a_wish_is_a_question_an_empty_answer_and_an_open_reservation(
    person: User, deployment: Deployment, ask: Make
) -> None:
    made = generation.submit(person, ask())
    path = history.path_to_leaf(history.conversation(person, made.conversation))
    assert [(m.role, m.text) for m in path] == [("user", "12+34=?"), ("assistant", "")]
    assert Reservation.objects.get(generation_id=made.generation).state == "open"


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("Is  it\nso?", "Is it so?"),
        ("word " * 20, "word " * 11 + "word…"),
        ("问" * 80, "问" * 59 + "…"),
        ("https://example.org/" + "a" * 60, "https://example.org/" + "a" * 39 + "…"),
    ],
)
def test_a_conversation_is_called_by_the_beginning_of_its_question(
    person: User, deployment: Deployment, ask: Make, text: str, title: str
) -> None:
    generation.submit(person, ask(text=text))
    assert Conversation.objects.get().title == title


def test_the_same_key_again_is_the_same_wish(person: User, deployment: Deployment, ask: Make) -> None:
    wish = ask()
    first, again = generation.submit(person, wish), generation.submit(person, wish)
    assert again.replayed and again.generation == first.generation
    assert Message.objects.count() == 2


def test_the_same_key_with_another_text_is_refused(person: User, deployment: Deployment, ask: Make) -> None:
    wish = ask()
    generation.submit(person, wish)
    with pytest.raises(errors.KeyReused):
        generation.submit(person, replace(wish, text="another"))


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("", errors.MessageEmpty),
        (" \n", errors.MessageEmpty),
        ("x" * 200_001, errors.MessageTooLong),
        ("a\x00b", errors.BadText),
        ("a\ud800b", errors.BadText),
    ],
)
def test_a_bad_text_is_refused_and_stores_nothing(
    person: User, deployment: Deployment, ask: Make, text: str, refusal: type[errors.WishRefused]
) -> None:
    with pytest.raises(refusal):
        generation.submit(person, ask(text))
    assert not Conversation.objects.exists()


def test_a_model_that_nobody_serves_is_refused(person: User, deployment: Deployment, ask: Make) -> None:
    with pytest.raises(errors.NoModel):
        generation.submit(person, replace(ask(), model="other"))


def test_a_conversation_of_another_person_looks_missing(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    other = User.objects.create_user("bob", password="a long password")
    for stranger_wish in (ask(conversation=made.conversation), ask(conversation=uuid.uuid4())):
        with pytest.raises(errors.NotYours):
            generation.submit(other, stranger_wish)
    with pytest.raises(errors.NotYours):
        generation.stop(made.generation, by=other)


@override_settings(WAITING_PER_USER=2)
def test_a_person_may_have_only_so_many_waiting(person: User, deployment: Deployment, ask: Make) -> None:
    for _ in range(2):
        generation.submit(person, ask())
    with pytest.raises(errors.TooManyWaiting):
        generation.submit(person, ask())


@override_settings(WAITING_PER_USER=1)
def test_the_scripts_of_a_person_do_not_keep_him_from_asking(person: User, deployment: Deployment, ask: Make) -> None:
    for class_ in ("background", "script", "interactive"):
        generation.submit(person, ask(queue_class=class_))
        with pytest.raises(errors.TooManyWaiting):
            generation.submit(person, ask(queue_class=class_))


def test_slots_are_filled_in_order_and_never_oversubscribed(person: User, deployment: Deployment, ask: Make) -> None:
    made = [generation.submit(person, ask()).generation for _ in range(4)]
    assert scheduling.release_what_can_run() == 2
    assert scheduling.release_what_can_run() == 0
    released = Generation.objects.filter(state="released").values_list("pk", flat=True)
    assert set(released) == set(made[:2])
    assert SlotLease.objects.count() == 2
    assert [places.place_of(Generation.objects.get(pk=pk)).ahead for pk in made[2:]] == [0, 1]


@override_settings(RUNNING_PER_USER=1)
def test_a_person_at_his_cap_lets_the_next_one_pass(person: User, deployment: Deployment, ask: Make) -> None:
    for _ in range(2):
        generation.submit(person, ask())
    bob = User.objects.create_user("bob", password="a long password")
    his = generation.submit(bob, ask()).generation
    scheduling.release_what_can_run()
    assert Generation.objects.get(pk=his).state == "released"


def test_an_end_is_settled_once_and_billed_once(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    worker = fleet.register_worker("w").pk
    assert claiming.claim(made.generation, 1, worker) is not None
    assert claiming.claim(made.generation, 1, worker) is None
    assert settlement.settle(made.generation, 1, worker, DONE)
    assert not settlement.settle(made.generation, 1, worker, DONE)
    assert Message.objects.get(pk=made.answer).text == "46"
    assert (LedgerEntry.objects.count(), Segment.objects.count(), SlotLease.objects.count()) == (1, 1, 0)
    assert Reservation.objects.get(generation_id=made.generation).state == "settled"


@override_settings(AFTER_LOSS="fail")
def test_late_writes_of_a_reaped_runner_are_refused(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    worker = fleet.register_worker("w").pk
    assert claiming.claim(made.generation, 1, worker)
    Worker.objects.update(seen_at=timezone.now() - timedelta(seconds=10))
    reaping.reap()
    row = Generation.objects.get(pk=made.generation)
    assert (row.state, row.reason) == ("failed", "runner_lost")
    assert not settlement.settle(made.generation, 1, worker, DONE)
    late = checkpointing.Checkpoint(made.generation, made.answer, 1, "late", "late", 9, 1, 1, 0, True)
    checkpointing.checkpoint(worker, [late])
    assert Message.objects.get(pk=made.answer).text == ""


def test_stopping_in_the_line_gives_everything_back(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    generation.stop(made.generation, by=person)
    assert Generation.objects.get(pk=made.generation).state == "stopped"
    assert not SlotLease.objects.exists()
    assert Reservation.objects.get(generation_id=made.generation).state == "released"


def test_another_answer_is_a_sibling_of_the_old_one(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    with pytest.raises(errors.StillAnswering):
        generation.regenerate(person, made.answer, uuid.uuid4())
    generation.stop(made.generation, by=person)
    again = generation.regenerate(person, made.answer, uuid.uuid4())
    assert Message.objects.get(pk=again.answer).parent_id == made.message
    leaf = history.conversation(person, made.conversation).active_leaf_id
    assert leaf == again.answer


def test_thinking_of_earlier_turns_is_never_sent_back(person: User, deployment: Deployment, ask: Make) -> None:
    first = generation.submit(person, ask())
    scheduling.release_what_can_run()
    worker = fleet.register_worker("w").pk
    claiming.claim(first.generation, 1, worker)
    settlement.settle(first.generation, 1, worker, DONE)
    second = generation.submit(person, ask("and now?", conversation=first.conversation))
    scheduling.release_what_can_run()
    work = claiming.claim(second.generation, 1, worker)
    assert work is not None
    assert [(m.role, m.content) for m in work.request.messages] == [
        ("user", "12+34=?"),
        ("assistant", "46"),
        ("user", "and now?"),
    ]


def test_only_one_leader_at_a_time(db: None) -> None:
    one, two = uuid.uuid4(), uuid.uuid4()
    assert scheduling.hold_lease(one)
    assert not scheduling.hold_lease(two)
    assert scheduling.hold_lease(one)
    scheduling.give_up_lease(one)
    assert scheduling.hold_lease(two)


def test_the_slots_of_a_deleted_person_are_free_again(person: User, deployment: Deployment, ask: Make) -> None:
    generation.submit(person, ask())
    scheduling.release_what_can_run()
    assert SlotLease.objects.count() == 1
    person.delete()
    assert not SlotLease.objects.exists()


@override_settings(AFTER_LOSS="fail")
def test_an_answer_of_a_deleted_runner_is_ended(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    worker = fleet.register_worker("w")
    assert claiming.claim(made.generation, 1, worker.pk)
    worker.delete()
    reaping.reap()
    assert Generation.objects.get(pk=made.generation).reason == "runner_lost"


def test_a_key_that_cannot_be_read_moves_nothing(person: User, deployment: Deployment, ask: Make) -> None:
    deployment.engine.secret = "written with another site's key"
    deployment.engine.save()
    made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    with pytest.raises(SecretUnreadable):
        claiming.claim(made.generation, 1, fleet.register_worker("w").pk)
    assert Generation.objects.get(pk=made.generation).state == "released"
