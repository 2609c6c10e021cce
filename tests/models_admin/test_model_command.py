"""`bin/manage model`: what scripts get, and the words for what cannot be done. Whole pulls are among the faults."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from models_admin.engines import fleet
from models_admin.fit.memory_fit import GIB
from models_admin.models import Artifact, AuditEntry, CatalogueModel, Deployment, Measurement, Pin, PullJob
from models_admin.orders.pull_orders import End
from models_admin.pulls import pulling
from tests.models_admin import gguf_files
from tests.models_admin.machines import deployed, files, host, stored


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


def test_a_pull_for_later_says_its_time_and_starts_when_it_is_told(artifact: Artifact) -> None:
    assert re.search(r"o/m/x\.gguf on local: planned for .* 2:30 a\.m\.", run("pull", "o/m/x.gguf", "--at", "02:30"))
    assert "planned." in run("start", "o/m/x.gguf")
    with pytest.raises(CommandError, match="is planned"):
        run("start", "o/m/x.gguf")
    with pytest.raises(CommandError, match="no time of day"):
        run("pull", "o/m/x.gguf", "--at", "half past two")


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


def test_a_plan_tells_every_host_and_pulls_nothing(db: None) -> None:
    full = host("gpu-1", free=4)
    host("gpu-2")
    old = deployed(files("old", "Old One", 40), full, "warm", measured_bytes=44 * GIB)
    files("deepseek-r1:32b", "R1 32B")
    told = json.loads(run("plan", "deepseek-r1:32b", "--slots", "1", "--json"))
    rows = {row["host"]: row for row in told["hosts"]}
    assert (rows["gpu-1"]["verdict"], rows["gpu-1"]["unloads"]) == ("after_unloading", ["old"])
    assert (rows["gpu-2"]["verdict"], rows["gpu-2"]["missing_bytes"]) == ("fits", 19_800_000_000)
    assert rows["gpu-2"]["needs_bytes"] > 19_800_000_000
    words = run("plan", "deepseek-r1:32b", "--host", "gpu-1")
    assert "gpu-1: after unloading Old One, 19.8 GB" in words and "gpu-2" not in words
    assert not PullJob.objects.exists() and Deployment.objects.get() == old


def test_a_plan_for_what_fits_nowhere_ends_with_one(db: None) -> None:
    host("gpu-1", card=24, free=24)
    files("deepseek-r1:671b", "R1 671B", 404)
    output = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("model", "plan", "deepseek-r1:671b", stdout=output)
    assert ended.value.code == 1 and "gpu-1: does not fit" in output.getvalue()


def test_pull_and_warm_deploys_as_wished(db: None) -> None:
    host("gpu-1")
    files("deepseek-r1:7b", "R1 7B", 4.7)
    words = ("pull", "deepseek-r1:7b", "--host", "gpu-1", "--warm", "--context", "8192", "--slots", "2", "--json")
    told = json.loads(run(*words))
    assert (told["state"], told["then_warm"]) == ("planned", True)
    made = Deployment.objects.get()
    assert (made.state, made.context_tokens, made.slots) == ("stopped", 8192, 2)
    with pytest.raises(CommandError, match="takes no flags"):
        run("pull", "deepseek-r1:7b", "--host", "gpu-1", "--warm", "--flags=--enforce-eager")


def test_a_model_is_warmed_pinned_and_unloaded_by_hand(db: None) -> None:
    rack = host("gpu-1")
    stored(files("deepseek-r1:7b", "R1 7B", 4.7), rack)
    assert "deepseek-r1:7b on gpu-1: starting." in run("warm", "deepseek-r1:7b", "--host", "gpu-1")
    assert Deployment.objects.get().state == "starting"
    Deployment.objects.update(state="warm", stage="")
    told = json.loads(run("pin", "deepseek-r1:7b", "--reason", "demo", "--hours", "2", "--json"))
    assert told["state"] == "warm" and len(told["pinned_by"]) == 1
    assert Pin.objects.get().ends_at is not None
    with pytest.raises(CommandError, match="is pinned: take the pin away first"):
        run("unload", "deepseek-r1:7b")
    assert json.loads(run("unpin", "deepseek-r1:7b", "--json"))["pinned_by"] == []
    assert json.loads(run("unload", "deepseek-r1:7b", "--json"))["state"] == "draining"
    people = AuditEntry.objects.exclude(verb="deploy").order_by("pk").values_list("verb", flat=True)
    assert list(people) == ["warm", "pin", "unpin", "unload"]


def test_a_file_of_this_machine_is_warmed_without_a_pull(db: None, tmp_path: Path) -> None:
    host("local")
    file = tmp_path / "mine.gguf"
    file.write_bytes(gguf_files.model())
    call_command("add_model", "--file", str(file), stdout=io.StringIO())
    with pytest.raises(CommandError, match="it can be warmed without a pull"):
        run("pull", "mine")
    assert f"{file} on local: starting." in run("warm", "mine")
    assert Deployment.objects.get().engine.kind == "llama.cpp"
    with pytest.raises(CommandError, match="is not on gpu-2"):
        host("gpu-2")
        run("warm", "mine", "--host", "gpu-2")


def test_what_ended_badly_ends_with_one_and_waiting_has_an_end(db: None) -> None:
    row = deployed(files("deepseek-r1:7b", "R1 7B", 4.7), host("gpu-1"), "warm")
    Measurement.objects.create(deployment=row, streams=1, tokens_per_second=42.1, first_token_ms=180)
    assert "warm" in run("warm", "deepseek-r1:7b", "--wait")
    Deployment.objects.update(state="failed", reason="no_token")
    told = json.loads(json_of_failure("pin", "deepseek-r1:7b", "--reason", "x", "--json"))
    assert (told["state"], told["reason"], told["speeds"][0]["tokens_per_second"]) == ("failed", "no_token", 42.1)
    Deployment.objects.update(state="starting", stage="loading")
    with pytest.raises(CommandError, match="It goes on without this command"):
        run("warm", "deepseek-r1:7b", "--wait", "--timeout", "0")


def json_of_failure(*words: str) -> str:
    output = io.StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("model", *words, stdout=output, stderr=output)
    assert ended.value.code == 1
    return output.getvalue()


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["warm", "nobody"], "is not on local: pull it first"),
        (["unload", "nobody"], "is not deployed"),
        (["unload", "deepseek-r1:7b", "--host", "nowhere"], "No host"),
        (["unload", "deepseek-r1:7b"], "deployed more than once"),
        (["unpin", "deepseek-r1:7b", "--host", "gpu-1"], "Nobody has pinned"),
        (["pin", "deepseek-r1:7b", "--host", "gpu-1", "--reason", " "], "Say why"),
        (["pin", "deepseek-r1:7b", "--host", "gpu-1", "--reason", "x", "--until", "soon"], "is no time"),
        (["pin", "deepseek-r1:7b", "--host", "gpu-1", "--reason", "x", "--until", "2001-01-01T10:00"], "in the past"),
        (["measure", "deepseek-r1:7b", "--host", "gpu-1"], "not warm"),
        (["delete", "nobody"], "Nobody has asked"),
        (["plan", "deepseek-r1:7b", "--context", "9999999"], "less than or equal|at most"),
    ],
)
def test_what_a_verb_cannot_do_is_said_in_words(db: None, words: list[str], why: str) -> None:
    artifact = files("deepseek-r1:7b", "R1 7B", 4.7)
    for name in ("gpu-1", "gpu-2"):
        deployed(artifact, host(name), "stopped")
    with pytest.raises(CommandError, match=why):
        run(*words)
    assert not AuditEntry.objects.exists() and not Pin.objects.exists()
