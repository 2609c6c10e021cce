"""A limit that is set while answers are open counts them, once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.test import Client

from accounts import quota_standing
from accounts.models import User
from chat import claiming, errors, generation, scheduling, settlement
from chat.generation import Ask
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import Deployment, Engine

Make = Callable[..., Ask]
LIMITS = "/admin/accounts/quotalimit/"
EVERYONE = {"subject_kind": "everyone", "is_each": "on", "window": "month", "time_zone": "UTC"}
SAID = Outcome(state="done", reason="", thinking="", text="one", last_seq=1, answer_tokens=50, has_token=True)


@pytest.fixture
def admin(db: None) -> Client:
    browser = Client()
    browser.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return browser


def left(person: User) -> list[int]:
    return [each.left for each in quota_standing.read(person, None, "known")]


def test_what_is_open_counts_in_a_limit_that_is_set_meanwhile(
    admin: Client, person: User, deployment: Deployment, ask: Make
) -> None:
    Engine.objects.update(kind="vllm")
    made, worker = generation.submit(person, ask()).generation, fleet.register_worker("w").pk
    scheduling.release_what_can_run()
    assert claiming.claim(made, 1, worker) and settlement.hand_on(made, 1, worker, SAID)
    admin.post(f"{LIMITS}add/", EVERYONE | {"unit": "output_tokens", "amount": "1500"})
    assert left(person) == [500], "1,000 are expected of it"
    with pytest.raises(errors.QuotaUsedUp):
        generation.submit(person, ask())
    scheduling.release_what_can_run()
    assert claiming.claim(made, 2, worker)
    assert settlement.settle(made, 2, worker, replace(SAID, text="one two", answer_tokens=150))
    assert left(person) == [1300], "both its attempts, once"


def test_what_is_open_takes_its_place_of_those_at_once(
    admin: Client, person: User, deployment: Deployment, ask: Make
) -> None:
    made = generation.submit(person, ask()).generation
    admin.post(f"{LIMITS}add/", EVERYONE | {"unit": "running", "amount": "1"})
    with pytest.raises(errors.QuotaUsedUp):
        generation.submit(person, ask())
    generation.stop(made, by=person)
    assert generation.submit(person, ask())
