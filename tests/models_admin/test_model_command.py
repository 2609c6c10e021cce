"""`bin/manage model`: what scripts get, and the words for what cannot be done. Whole pulls are among the faults."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from models_admin import fleet, pulling
from models_admin.models import Artifact, CatalogueModel, PullJob
from models_admin.pull_orders import End


@pytest.fixture
def artifact(db: None) -> Artifact:
    model = CatalogueModel.objects.create(key="m", name="M")
    return Artifact.objects.create(model=model, source="gguf", ref="o/m/x.gguf", digest="a" * 64, bytes=100)


def run(*words: str) -> str:
    output = io.StringIO()
    call_command("model", *words, stdout=output, stderr=output)
    return output.getvalue()


def test_each_verb_moves_the_newest_job_and_says_so(artifact: Artifact) -> None:
    assert "o/m/x.gguf on local: planned." in run("pull", "o/m/x.gguf")
    assert "paused" in run("pause", "o/m/x.gguf")
    assert "planned" in run("resume", "o/m/x.gguf")
    assert "cancelled" in run("cancel", "o/m/x.gguf")
    told = json.loads(run("retry", "o/m/x.gguf", "--json"))
    assert (told["state"], told["total_bytes"], told["host"]) == ("planned", 100, "local")
    assert PullJob.objects.count() == 2


def test_asking_twice_is_one_job(artifact: Artifact) -> None:
    assert (
        json.loads(run("pull", "o/m/x.gguf", "--json"))["job"] == json.loads(run("pull", "o/m/x.gguf", "--json"))["job"]
    )


def test_a_failure_ends_with_one_and_its_reason(artifact: Artifact) -> None:
    job = pulling.ask(artifact, fleet.local_host(), by="ann")
    pulling.note_end(job.pk, 1, End("failure", reason="disk_full"))
    with pytest.raises(CommandError, match="is failed"):
        run("pause", "o/m/x.gguf")


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["pull", "../../etc"], "no name|no repository|has no tag"),
        (["pull", "; rm -rf"], "no name|has no tag"),
        (["pull", "x" * 10_000], "at most"),
        (["pull", "evil.example/o/m:1"], "registry of its own"),
        (["pull", "m:1\n--trust-remote-code"], "no name|no tag"),
        (["pull", "o/m/x.gguf", "--host", "nowhere"], "No host"),
        (["pause", "o/m/y.gguf"], "Nobody has asked"),
        (["pull", "https://models.example/x.gguf", "--sha256", "a" * 64], "R1WEB_MODEL_HOSTS"),
        (["pull", "https://ok.example/x.gguf"], "checksum"),
        (["pull", "https://ok.example/x.bin", "--sha256", "a" * 64], "not the address of a .gguf"),
        (["pull", "https://u:p@ok.example/x.gguf", "--sha256", "a" * 64], "no host that models may come from"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(artifact: Artifact, settings: Any, words: list[str], why: str) -> None:
    settings.MODEL_HOSTS = ["ok.example"]
    with pytest.raises(CommandError, match=why):
        run(*words)
    assert not PullJob.objects.exists()


def test_a_file_at_an_allowed_address_is_asked_for_once(db: None, settings: Any) -> None:
    settings.MODEL_HOSTS = ["ok.example"]
    for _ in range(2):
        run("pull", "https://ok.example/r1-Q4_K_M.gguf", "--sha256", "A" * 64)
    artifact = Artifact.objects.get()
    assert (artifact.digest, artifact.quantisation, PullJob.objects.count()) == ("a" * 64, "Q4_K_M", 1)
