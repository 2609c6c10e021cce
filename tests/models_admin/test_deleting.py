"""Files that shall go: deleting until whoever was told found them gone, sent again, given up with a reason."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from models_admin import runner_tasks, tasks
from models_admin.engines import fleet
from models_admin.models import Artifact, AuditEntry, CatalogueModel, Engine, Host, PullJob, StoredArtifact
from models_admin.orders.pull_orders import End
from models_admin.pulls import deleting, pulling
from tests.models_admin.machines import files, host, signed_in, stored, text
from tests.running_engines import free_port
from tests.scripted_ollama import serving

pytestmark = pytest.mark.django_db
LIST = "/admin/models_admin/cataloguemodel/"
GOOD = End("success", verified=True, path="/models/x", bytes=100)


@pytest.fixture
def job() -> PullJob:
    """Files of a repository that this machine pulled."""
    model = CatalogueModel.objects.create(key="m", name="M")
    artifact = Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=100)
    made = pulling.ask(artifact, fleet.local_host(), by="ann")
    pulling.note_end(made.pk, 1, GOOD)
    return made


@pytest.fixture
def admin() -> Client:
    return signed_in(User.objects.create_superuser("root"))


def delete(*words: str) -> str:
    output = io.StringIO()
    call_command("model", "delete", *words, stdout=output, stderr=output)
    return output.getvalue()


def now_of(row: StoredArtifact | PullJob) -> StoredArtifact:
    return StoredArtifact.objects.get(pk=row.pk if isinstance(row, StoredArtifact) else row.stored_id)


def say(job: PullJob, **discarded: str) -> None:
    """A word of the site's own machine, as its agent sends it."""
    tasks.report_pull({"job": job.pk, "attempt": job.attempt, "discarded": discarded})


def sweep(times: int = 1) -> None:
    for _ in range(times):
        StoredArtifact.objects.update(sent_at=now() - timedelta(seconds=60))
        deleting.sweep()


def test_files_are_gone_when_their_host_says_so(job: PullJob, admin: Client) -> None:
    assert "are being removed" in delete("o/m/x.gguf")
    assert json.loads(delete("o/m/x.gguf", "--json"))["state"] == "deleting"
    assert "deleting files on the site's machine until their host says" in text(admin.get(LIST))
    with pytest.raises(pulling.PullError, match="is being deleted there"):
        pulling.ask(job.stored.artifact, fleet.local_host(), by="ann")
    say(job, reason="not_writable")
    assert "The folder of models can't be written" in text(admin.get(LIST))
    say(job)
    assert now_of(job).state == "absent"
    verbs = AuditEntry.objects.order_by("pk").values_list("actor", "verb")[2:]
    assert [verb for _actor, verb in verbs] == ["delete_files", "files_deleted"] and verbs[1][0] == ""


def test_what_nobody_confirms_is_sent_again_and_given_up_with_a_reason(job: PullJob, admin: Client) -> None:
    delete("o/m/x.gguf")
    sweep(deleting.MOST_ATTEMPTS - 1)
    assert (now_of(job).state, now_of(job).attempt) == ("deleting", deleting.MOST_ATTEMPTS)
    sweep()
    page = admin.get(f"{LIST}{job.stored.artifact.model_id}/change/")
    assert "not deleted Nobody there said that they are gone." in text(page)
    assert "verb/delete_files/" in page.content.decode()
    assert AuditEntry.objects.get(verb="delete_failed").why == "no_word"
    delete("o/m/x.gguf")
    say(job)
    assert now_of(job).state == "absent"


def test_a_late_word_about_an_older_pull_deletes_nothing(job: PullJob) -> None:
    delete("o/m/x.gguf")
    say(job)
    again = pulling.ask(job.stored.artifact, fleet.local_host(), by="ann")
    pulling.note_end(again.pk, 1, GOOD)
    delete("o/m/x.gguf")
    say(job)
    assert now_of(job).state == "deleting"
    say(again)
    assert now_of(job).state == "absent"


def test_a_host_that_is_gone_is_told_when_it_is_back() -> None:
    kept = stored(files("e", "R1 8B", 8.5), host("gpu-1"))
    delete("e", "--host", "gpu-1")
    Host.objects.filter(name="gpu-1").update(seen_at=now() - timedelta(minutes=5))
    sweep(deleting.MOST_ATTEMPTS + 1)
    assert (now_of(kept).state, now_of(kept).attempt) == ("deleting", 1)


@pytest.mark.django_db(transaction=True)
def test_a_model_of_ollama_is_gone_when_its_own_list_says_so() -> None:
    with serving(one=1000) as box:
        engine = Engine.objects.create(
            host=fleet.local_host(), kind="ollama", base_url=f"http://127.0.0.1:{free_port()}"
        )
        kept = stored(files("one:latest", "One"), fleet.local_host())
        delete("one:latest")
        runner_tasks.delete_model(kept.pk)
        assert (now_of(kept).state, now_of(kept).reason) == ("deleting", "engine_unreachable")
        Engine.objects.filter(pk=engine.pk).update(base_url=box.address)
        runner_tasks.delete_model(kept.pk)
        assert box.models == {} and now_of(kept).state == "absent"
        runner_tasks.delete_model(kept.pk)  # a message that comes again


def test_without_its_ollama_nobody_could_delete_it(capsys: Any) -> None:
    kept = stored(files("e", "R1 8B", 8.5), host("gpu-1"))
    Engine.objects.all().delete()
    with pytest.raises(deleting.DeleteError, match="No Ollama is attached on gpu-1"):
        deleting.remove_files(kept.artifact, kept.host, by="ann")
    assert now_of(kept).state == "ready"
