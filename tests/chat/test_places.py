"""What somebody who waits is told: his place, a range of time, why, and where he would be answered sooner."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

import pytest
from django.test import Client, override_settings
from django.utils import timezone

from accounts.models import Group, LedgerEntry, QuotaLimit, User
from chat import errors, estimating, generation, places, scheduling, settlement, waiting
from chat.generation import Ask
from chat.line_memory import LineMemory
from chat.models import Generation, LengthSeen
from chat.outcome import Outcome
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, RateCard, Worker

Make = Callable[..., Ask]
WHOLE = Outcome(
    state="done", reason="", thinking="", text="so", last_seq=1, prompt_tokens=100, answer_tokens=1_000, has_token=True
)


@pytest.fixture
def bob(db: None) -> User:
    return User.objects.create_user("bob", password="a long password")


@pytest.fixture(autouse=True)
def known_speed(deployment: Deployment) -> None:
    """10 ms a token and 500 tokens an answer: 5 s. Two slots, so that a token costs 5 GPU ms."""
    RateCard.objects.create(deployment=deployment, prefill_us_per_token=100, decode_us_per_token=10_000)
    LengthSeen.objects.create(model_key="known", think="auto", tokens=500, spread=40, seen=9)


def told() -> dict[str, tuple[int, str, float, float]]:
    now = timezone.now().timestamp()
    found = places.places_of(waiting.read_line())
    return {
        key: (place.ahead, place.why.code, (place.low or 0) / 1000 - now, (place.high or 0) / 1000 - now)
        for key, place in found.items()
    }


@override_settings(RUNNING_PER_USER=2)
def test_a_wait_is_told_as_a_range_by_rates_and_lengths_that_were_seen(
    person: User, bob: User, ask: Make, deployment: Deployment
) -> None:
    for _ in range(2):
        generation.submit(person, ask())
    assert scheduling.release_what_can_run() == 2
    first, second = [str(generation.submit(bob, ask()).generation) for _ in range(2)]
    third = str(generation.submit(person, ask()).generation)
    found = told()
    assert [found[key][:2] for key in (first, second)] == [(0, "next"), (1, "ahead")]
    assert found[third][1] == "your_cap"
    for key, seconds in ((first, 5), (second, 5), (third, 10)):
        low, high = found[key][2:]
        assert seconds - 2.5 < low < seconds < high < seconds + 3, (seconds, low, high)


def test_what_a_question_costs_is_fixed_when_it_is_released(person: User, ask: Make, deployment: Deployment) -> None:
    """In an empty and in a full box, and whatever is measured meanwhile: 100 tokens read, 1,000 written."""
    made = [generation.submit(person, ask()) for _ in range(2)]
    for number, each in enumerate(made):
        scheduling.release_what_can_run()
        RateCard.objects.create(deployment=deployment, prefill_us_per_token=9_999, decode_us_per_token=99_999)
        worker = Worker.objects.create(name=f"w{number}", epoch=each.generation, seen_at=timezone.now())
        Generation.objects.filter(pk=each.generation).update(state="running", worker=worker, started_at=timezone.now())
        assert settlement.settle(each.generation, 1, worker.pk, WHOLE)
        RateCard.objects.filter(decode_us_per_token=99_999).delete()
    assert [Generation.objects.get(pk=each.generation).gpu_ms for each in made] == [5_005, 5_005]


@override_settings(RUNNING_PER_USER=9)
def test_forty_wishes_of_one_do_not_keep_another_waiting(person: User, bob: User, ask: Make) -> None:
    memory = LineMemory()
    for _ in range(40):
        generation.submit(person, ask())
    scheduling.release_what_can_run(memory)
    his = generation.submit(bob, ask()).generation
    with memory.turn() as line:
        entry = line.pick("known")
    assert entry is not None
    assert entry.key == str(his)


def test_the_next_leader_goes_on_where_the_last_one_stopped(person: User, bob: User, ask: Make) -> None:
    """Else a hog would begin anew with every deploy, ahead of those who have used less."""
    last = LineMemory()
    for _ in range(4):
        generation.submit(person, ask())
    scheduling.release_what_can_run(last)
    generation.submit(bob, ask())
    with last.turn() as line:
        before = line.pick("known")
    leader = uuid.uuid4()
    assert scheduling.hold_lease(leader)
    last.save(leader)
    LineMemory().save(uuid.uuid4())
    with LineMemory().turn() as line:
        assert line.pick("known") == before
        assert line.held == {str(pk) for pk in Generation.objects.filter(state="released").values_list("pk", flat=True)}


def test_a_group_of_more_weight_waits_less(person: User, bob: User, ask: Make, deployment: Deployment) -> None:
    Deployment.objects.update(slots=1)
    User.objects.filter(pk=bob.pk).update(main_group=Group.objects.create(name="doctors", weight=300))
    memory, served = LineMemory(), []
    for _ in range(8):
        generation.submit(person, ask())
        generation.submit(User.objects.get(pk=bob.pk), ask())
    for _ in range(8):
        scheduling.release_what_can_run(memory)
        row = Generation.objects.get(state="released")
        served.append(row.user_id)
        settlement.end_unstarted(row.pk, "done", "")
        Generation.objects.filter(pk=row.pk).update(gpu_ms=2_500)
    assert served.count(bob.pk) == 6


def test_who_waits_may_go_to_another_model_and_leaves_his_place(
    person: User, ask: Make, deployment: Deployment
) -> None:
    model = CatalogueModel.objects.create(key="other", name="Other")
    artifact = Artifact.objects.create(model=model, ref="other")
    Deployment.objects.create(engine=deployment.engine, artifact=artifact, context_tokens=2048, slots=1)
    made = generation.submit(person, ask())
    again = generation.regenerate(person, made.answer, ask().key, model="other")
    assert Generation.objects.get(pk=made.generation).reason == "switched"
    assert Generation.objects.get(pk=again.generation).model_key == "other"
    scheduling.release_what_can_run()
    with pytest.raises(errors.StillAnswering):
        generation.regenerate(person, again.answer, ask().key, model="known")


def test_who_falls_back_is_told_why(person: User, ask: Make) -> None:
    now = places.Place(2, places.Why("ahead"))
    before = {"a": places.Place(1, places.Why("ahead")), "b": now}
    news = places.tell(before, {"a": now, "b": now, "c": now})
    assert {key: place.why.code for key, place in news.items()} == {"a": "overtaken", "c": "ahead"}


def test_the_first_range_that_was_told_is_kept(person: User, ask: Make, deployment: Deployment) -> None:
    Deployment.objects.update(state_since=timezone.now() - timedelta(hours=1))
    for _ in range(3):
        made = generation.submit(person, ask())
    scheduling.release_what_can_run()
    told = places.places_of(waiting.read_line())
    places.keep_first_told(told)
    later = places.Place(0, places.Why("next"), 9_000_000_000_000, 9_100_000_000_000)
    places.keep_first_told(dict.fromkeys(told, later))
    row = Generation.objects.get(pk=made.generation)
    assert row.told_low_ms is not None and row.told_high_ms is not None
    assert row.told_low_ms < 5_000 < row.told_high_ms < 9_000


def test_a_model_of_card_and_cloud_is_estimated_for_the_card(person: User, ask: Make, deployment: Deployment) -> None:
    """Else nothing would be put aside, and no limit on GPU time would ever hold."""
    cloud = Engine.objects.create(host=deployment.engine.host, kind="deepseek", base_url="http://c", is_cloud=True)
    Deployment.objects.create(engine=cloud, artifact=deployment.artifact, context_tokens=2048, slots=9)
    Deployment.objects.filter(pk=deployment.pk).update(state="stopped")
    assert estimating.estimate(person, "known", think="auto", prompt_tokens=10).gpu_ms == 0
    Deployment.objects.filter(pk=deployment.pk).update(state="warm")
    assert estimating.estimate(person, "known", think="auto", prompt_tokens=10).gpu_ms == 2_500


def test_admins_see_how_far_told_waits_were_off(person: User, ask: Make, client: Client) -> None:
    User.objects.filter(pk=person.pk).update(is_staff=True, is_superuser=True)
    client.force_login(User.objects.get(), backend="django.contrib.auth.backends.ModelBackend")
    assert "nobody has been told a time yet" in client.get("/admin/accounts/boxday/").content.decode()
    asked = timezone.now() - timedelta(minutes=5)
    for seconds in (10, 12, 13, 14, 70):
        made = generation.submit(person, ask()).generation
        Generation.objects.filter(pk=made).update(
            created_at=asked, released_at=asked + timedelta(seconds=seconds), told_low_ms=0, told_high_ms=20_000
        )
    page = client.get("/admin/accounts/boxday/").content.decode()
    assert '<p class="limit-card__value">3.0 s</p>' in page
    assert "median of the last 5" in page and "below 60 s; 80 % began within the range" in page


def test_a_person_who_is_deleted_holds_nothing_and_leaves_what_he_took(
    person: User, bob: User, ask: Make, deployment: Deployment
) -> None:
    """Else a limit of everybody on running answers would refuse all others for a day."""
    QuotaLimit.objects.create(subject_kind="everyone", unit="running", window="day", amount=2)
    running, _waits = [generation.submit(person, ask()) for _ in range(2)]
    Generation.objects.filter(pk=running.generation).update(
        state="running", attempt=1, started_at=timezone.now(), released_at=timezone.now(), answer_tokens=7, decode_us=1,
        deployment=deployment,
    )  # fmt: skip
    with pytest.raises(errors.QuotaUsedUp):
        generation.submit(bob, ask())
    person.delete()
    assert generation.submit(bob, ask()).generation
    assert LedgerEntry.objects.get().answer_tokens == 7
