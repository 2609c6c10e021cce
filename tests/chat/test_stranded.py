"""A question for a model that nothing can take any more: told until when it waits, then ended with its reason."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.conf import settings
from django.utils import timezone

from accounts.models import Reservation, User
from chat import cold_models, generation, scheduling
from chat.generation import Ask
from chat.models import Generation, Message, StrandedModel
from models_admin.loads import outlook
from models_admin.models import Artifact, Deployment, Host, Launch

Make = Callable[..., Ask]


def quarantined(row: Deployment) -> None:
    Deployment.objects.filter(pk=row.pk).update(state="quarantined")


def on_a_host_that_is_gone(row: Deployment) -> None:
    Deployment.objects.filter(pk=row.pk).update(state="stopped")
    Host.objects.update(seen_at=timezone.now() - timedelta(minutes=5))


def without_its_files(row: Deployment) -> None:
    Deployment.objects.filter(pk=row.pk).update(state="stopped")
    Artifact.objects.update(source="gguf")
    Launch.objects.create(deployment=row, program="llama.cpp", port=8001)


def taken_away(row: Deployment) -> None:
    row.delete()


@pytest.mark.parametrize("lost", [quarantined, on_a_host_that_is_gone, without_its_files, taken_away])
def test_what_nothing_can_take_any_more_waits_so_long_and_is_ended_with_its_reason(
    person: User, deployment: Deployment, ask: Make, lost: Callable[[Deployment], None]
) -> None:
    made = generation.submit(person, ask())
    lost(deployment)
    scheduling.sweep(may_reap=True)
    told = cold_models.why("known", outlook.look()).until
    limit = settings.STRANDED_SECONDS
    assert told is not None and 0 <= timezone.now().timestamp() + limit - told / 1000 < limit / 2
    assert Generation.objects.get(pk=made.generation).state == "waiting"
    StrandedModel.objects.update(since=timezone.now() - timedelta(seconds=limit + 1))
    scheduling.sweep(may_reap=True)
    row = Generation.objects.get(pk=made.generation)
    assert (row.state, row.reason) == ("failed", "never_ready")
    assert Message.objects.get(pk=made.answer).finish == "never_ready"
    assert Reservation.objects.get(generation_id=made.generation).state == "released"
    scheduling.sweep(may_reap=True)
    assert not StrandedModel.objects.exists()


def test_the_clock_stops_when_it_can_be_had_again(person: User, deployment: Deployment, ask: Make) -> None:
    made = generation.submit(person, ask())
    quarantined(deployment)
    scheduling.sweep(may_reap=True)
    StrandedModel.objects.update(since=timezone.now() - timedelta(days=1))
    Deployment.objects.update(state="warm")
    scheduling.sweep(may_reap=True)
    quarantined(deployment)
    scheduling.sweep(may_reap=True)
    assert Generation.objects.get(pk=made.generation).state == "waiting"
