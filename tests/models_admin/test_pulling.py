"""The site's side of a pull: one job for a wish, moves that nobody undoes by coming late, and the sweep."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from models_admin.engines import fleet
from models_admin.hosts import pull_plan
from models_admin.models import Artifact, AuditEntry, CatalogueModel, Engine, Host, PullJob, StoredArtifact
from models_admin.orders.pull_orders import End, Step
from models_admin.pulls import pulling
from models_admin.pulls.pulling import PullError
from tests.accounts.racing import race

GOOD = End("success", verified=True, path="/models/x", bytes=100)


@pytest.fixture
def artifact(db: None) -> Artifact:
    model = CatalogueModel.objects.create(key="m", name="M")
    return Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=100)


@pytest.fixture
def job(artifact: Artifact) -> PullJob:
    return pulling.ask(artifact, fleet.local_host(), by="ann")


def files(job: PullJob) -> StoredArtifact:
    return StoredArtifact.objects.get(pk=job.stored_id)


def now(job: PullJob) -> PullJob:
    return PullJob.objects.get(pk=job.pk)


def test_who_asks_for_the_same_gets_the_same_job(artifact: Artifact, job: PullJob) -> None:
    for name in ("bob", "ann", "bob"):
        assert pulling.ask(artifact, fleet.local_host(), by=name).pk == job.pk
    assert now(job).asked_by == ["ann", "bob"]


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_admins_who_press_pull_at_once_get_one_job() -> None:
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=100)
    host = fleet.local_host()
    jobs = race(lambda number: pulling.ask(artifact, host, by=f"admin{number}").pk, threads=8)
    assert len(set(jobs)) == 1
    assert sorted(PullJob.objects.get().asked_by) == [f"admin{number}" for number in range(8)]


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_several_runners_send_a_silent_job_again_once() -> None:
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=100)
    job = pulling.ask(artifact, fleet.local_host(), by="ann")
    PullJob.objects.update(created_at=timezone.now() - timedelta(seconds=60))
    assert sum(race(lambda _number: pulling.sweep(), threads=6)) == 1
    assert now(job).attempt == 2


def test_a_verified_success_alone_makes_files_ready(job: PullJob) -> None:
    pulling.note_end(job.pk, 1, End("success", verified=False, path="/models/x", bytes=100))
    assert (now(job).state, now(job).reason, files(job).state) == ("failed", "not_verified", "absent")
    again = pulling.retry(now(job), by="ann")
    pulling.note_end(again.pk, 1, GOOD)
    assert (now(again).state, files(job).state, files(job).path) == ("done", "ready", "/models/x")
    assert files(job).verified_at is not None


def test_what_an_older_attempt_tells_is_not_heard(job: PullJob) -> None:
    PullJob.objects.update(attempt=3)
    pulling.note_step(job.pk, 2, Step("loading", 50, 100, 9))
    pulling.note_end(job.pk, 2, GOOD)
    assert (now(job).state, now(job).done_bytes, files(job).state) == ("planned", 0, "pulling")


def test_steps_are_seen_and_the_end_is_the_end(job: PullJob) -> None:
    pulling.note_step(job.pk, 1, Step("loading", 50, 100, 9))
    seen = now(job)
    assert (seen.state, seen.done_bytes, seen.bytes_per_second, seen.stage) == ("running", 50, 9, "loading")
    pulling.note_step(job.pk, 1, Step("verifying", 100, 100, 0))
    assert files(job).state == "verifying"
    pulling.note_end(job.pk, 1, GOOD)
    pulling.note_step(job.pk, 1, Step("loading", 60, 100, 9))
    pulling.note_end(job.pk, 1, End("failure", reason="disk_full"))
    assert (now(job).state, now(job).done_bytes, files(job).state) == ("done", 100, "ready")


def test_a_pull_cancelled_at_the_last_byte_stays_cancelled(job: PullJob) -> None:
    pulling.note_step(job.pk, 1, Step("loading", 99, 100, 9))
    pulling.cancel(job, by="ann", why="not that one")
    pulling.note_end(job.pk, 1, GOOD)
    assert (now(job).state, files(job).state, files(job).path) == ("cancelled", "absent", "")
    entry = AuditEntry.objects.filter(verb="cancel_pull").get()
    assert (entry.actor, entry.before, entry.after, entry.why) == ("ann", "running", "cancelled", "not that one")


def test_a_paused_pull_stays_paused_and_goes_on_as_a_new_attempt(job: PullJob) -> None:
    pulling.pause(job, by="ann")
    pulling.note_step(job.pk, 1, Step("loading", 50, 100, 9))
    pulling.note_end(job.pk, 1, GOOD)
    assert (now(job).state, files(job).state) == ("paused", "paused")
    pulling.resume(job, by="bob")
    assert (now(job).state, now(job).attempt, files(job).state) == ("planned", 2, "pulling")
    assert [entry.verb for entry in AuditEntry.objects.order_by("pk")] == ["pull", "pause_pull", "resume_pull"]


@pytest.mark.parametrize("verb", [pulling.pause, pulling.resume, pulling.cancel, pulling.retry])
def test_what_is_done_moves_no_more(job: PullJob, verb: Callable[..., PullJob]) -> None:
    pulling.note_end(job.pk, 1, GOOD)
    with pytest.raises(PullError, match="done"):
        verb(now(job), by="ann")
    assert now(job).state == "done"


def test_files_that_are_there_are_not_pulled_again(artifact: Artifact, job: PullJob) -> None:
    pulling.note_end(job.pk, 1, GOOD)
    with pytest.raises(PullError, match="there already"):
        pulling.ask(artifact, fleet.local_host(), by="bob")


def test_files_that_were_not_what_was_pinned_are_told_broken(job: PullJob) -> None:
    pulling.note_end(job.pk, 1, End("failure", reason="digest_differs"))
    assert (now(job).state, files(job).state) == ("failed", "broken")


def test_the_sweep_leaves_what_is_spoken_of(job: PullJob) -> None:
    pulling.note_step(job.pk, 1, Step("loading", 50, 100, 9))
    PullJob.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert pulling.sweep() == 0
    PullJob.objects.update(seen_at=timezone.now() - timedelta(seconds=16))
    assert pulling.sweep() == 1
    assert now(job).attempt == 2
    assert pulling.sweep() == 0, "it was sent a moment ago"


def test_a_host_that_is_gone_is_sent_nothing(artifact: Artifact) -> None:
    away = Host.objects.create(name="far", queue="host.far", seen_at=timezone.now() - timedelta(minutes=5))
    job = pulling.ask(artifact, away, by="ann")
    PullJob.objects.update(created_at=timezone.now() - timedelta(hours=1))
    assert pulling.sweep() == 0
    Host.objects.filter(pk=away.pk).update(seen_at=timezone.now())
    assert pulling.sweep() == 1
    assert now(job).attempt == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"source": "api"}, "an engine serves it"),
        ({"ref": "/models/x.gguf"}, "a file of this machine"),
        ({"source": "ollama", "ref": "m:1"}, "No Ollama"),
    ],
)
def test_what_cannot_be_pulled_is_refused_in_words(artifact: Artifact, changes: dict[str, str], words: str) -> None:
    for name, value in changes.items():
        setattr(artifact, name, value)
    artifact.save()
    assert words in pull_plan.plan(artifact, fleet.local_host()).why_not
    with pytest.raises(PullError, match=words):
        pulling.ask(artifact, fleet.local_host(), by="ann")
    assert not PullJob.objects.exists()


def test_a_plan_tells_size_room_and_time_before_anything_is_loaded(artifact: Artifact, job: PullJob) -> None:
    host = fleet.local_host()
    host.inventory = {"memory_total_bytes": 1, "memory_free_bytes": 1, "disk_free_bytes": 40}
    pulling.note_step(job.pk, 1, Step("loading", 30, 100, 9))
    plan = pull_plan.plan(artifact, host)
    assert (plan.total, plan.missing, plan.free, plan.is_ready) == (100, 70, 40, False)
    assert "disk are missing" in plan.why_not
    pulling.note_end(job.pk, 1, GOOD)
    assert pull_plan.plan(artifact, host).is_ready
    other = Artifact.objects.create(model=artifact.model, source="gguf", ref="o/m/y.gguf", digest="b", bytes=400)
    assert (pull_plan.plan(other, fleet.local_host()).seconds or 0) > 0


def test_an_ollama_of_the_host_is_told_to_pull(artifact: Artifact) -> None:
    Engine.objects.create(host=fleet.local_host(), kind="ollama", base_url="http://127.0.0.1:11434")
    Artifact.objects.filter(pk=artifact.pk).update(source="ollama", ref="m:1")
    artifact.refresh_from_db()
    assert pulling.ask(artifact, fleet.local_host(), by="ann").state == "planned"
