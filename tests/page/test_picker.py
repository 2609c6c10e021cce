"""What the picker says of each model before anybody asks: its state, the wait, and what the wish would cost others."""

from __future__ import annotations

import html
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts.models import User
from chat.models import Generation, LengthSeen
from models_admin.hosts import hosts
from models_admin.hosts.inventory import GpuCard, Inventory
from models_admin.models import (
    Artifact,
    CatalogueModel,
    Deployment,
    Engine,
    Host,
    Measurement,
    Pin,
    RateCard,
    SlotLease,
    StoredArtifact,
)

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"
GIB = 2**30
COST = '<span class="picker__cost">'


@pytest.fixture
def browser() -> Client:
    client = Client()
    client.force_login(User.objects.create_user("reader"), backend=BACKEND)
    return client


@pytest.fixture
def engine() -> Engine:
    """An Ollama on a machine with one card of 48 GiB."""
    host = Host.objects.create(name="gpu-1", queue="host.gpu-1")
    hosts.note("gpu-1", Inventory(64 * GIB, 60 * GIB, gpus=(GpuCard("RTX 6000 Ada", 48 * GIB, 48 * GIB),)))
    return Engine.objects.create(host=host, kind="ollama", base_url="http://127.0.0.1:9")


def deploy(engine: Engine, name: str, gib: int, state: str = "warm", **fields: Any) -> Deployment:
    model = CatalogueModel.objects.create(key=name, name=name, is_visible=fields.pop("is_visible", True))
    artifact = Artifact.objects.create(model=model, source="ollama", ref=name)
    is_stored = {"state": "ready", "verified_at": timezone.now()}
    StoredArtifact.objects.create(host=engine.host, artifact=artifact, **is_stored)
    fields = {"context_tokens": 4096, "slots": 2, "seen_at": timezone.now(), **fields}
    return Deployment.objects.create(
        engine=engine, artifact=artifact, state=state, measured_bytes=gib * GIB, **fields
    )  # fmt: skip


def used(deployment: Deployment, *people: str) -> None:
    for name in people:
        person, _is_new = User.objects.get_or_create(username=name)
        Generation.objects.create(
            user=person, client_key=uuid.uuid4(), request_digest="", model_key="x", state="done",
            deployment=deployment, ended_at=timezone.now(),
        )  # fmt: skip


def rows(browser: Client) -> dict[str, str]:
    """Name → dot and words of its row, in the picker's order."""
    page = browser.get("/models/choices/").content.decode()
    found = re.findall(r'<div class="picker__row".*?data-name="([^"]+)".*?dot--(\w+)"></span>(.*?)</div>', page, re.S)
    return {html.unescape(name): f"{look}: {_words(body.split(COST)[0])}" for name, look, body in found}


def note(browser: Client, key: str) -> str:
    """What stands under the field where this model is chosen."""
    page = browser.get("/", {"model": key}).content.decode()
    found = re.search(rf'<span data-note-for="{re.escape(key)}">(.*?)</span>', page, re.S)
    assert found
    return _words(found[1])


def _words(body: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_warm_model_tells_its_place_and_its_measured_wait(browser: Client, engine: Engine) -> None:
    row = deploy(engine, "R1 32B", 20)
    assert rows(browser) == {"R1 32B": "warm: R1 32B ready Warm on gpu-1. 4,096 tokens of context."}
    Measurement.objects.create(deployment=row, streams=1, tokens_per_second=30, first_token_ms=1900)
    assert "about 2 s" in rows(browser)["R1 32B"]
    assert note(browser, "R1 32B") == "Warm on gpu-1. First words in about 2 s."
    SlotLease.objects.create(deployment=row, number=1)
    SlotLease.objects.create(deployment=row, number=2)
    assert "in line" in rows(browser)["R1 32B"]


def test_each_row_tells_what_an_ordinary_answer_takes_of_the_box(browser: Client, engine: Engine) -> None:
    for name, gib, decode_us in (("R1 32B", 20, 40_000), ("R1 8B", 8, 10_000)):
        row = deploy(engine, name, gib)  # two slots: a token costs half of its time
        RateCard.objects.create(deployment=row, prefill_us_per_token=100, decode_us_per_token=decode_us)
    LengthSeen.objects.create(model_key="R1 8B", think="auto", tokens=2_400, seen=5)
    page = browser.get("/models/choices/").content.decode()
    assert re.findall(rf"{COST}([^<]+)</span>", page) == ["about 20 GPU s", "about 12 GPU s"]


def test_however_often_it_was_measured_the_last_time_counts_and_one_row_is_read(
    browser: Client, engine: Engine
) -> None:
    row = deploy(engine, "R1 32B", 20)
    for number in range(40):
        made = Measurement.objects.create(
            deployment=row, streams=1, tokens_per_second=30, first_token_ms=9000 if number else 4000
        )
        Measurement.objects.filter(pk=made.pk).update(at=timezone.now() - timedelta(hours=number))
    with CaptureQueriesContext(connection) as told:
        assert "about 4 s" in rows(browser)["R1 32B"]
    reads = [each["sql"] for each in told if "models_admin_measurement" in each["sql"]]
    assert {len(_read(sql)) for sql in reads} == {1}


def _read(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return list(cursor.fetchall())


def test_a_load_tells_how_far_it_is_and_who_waits_for_it(browser: Client, engine: Engine) -> None:
    row = deploy(engine, "R1 70B", 40, "starting", stage="loading", progress=62, load_ms=90_000)
    Deployment.objects.filter(pk=row.pk).update(state_since=timezone.now() - timedelta(seconds=50))
    for _ in range(2):
        person = User.objects.create_user(uuid.uuid4().hex)
        Generation.objects.create(user=person, client_key=uuid.uuid4(), request_digest="", model_key="R1 70B")
    told = rows(browser)["R1 70B"]
    assert "Loading on gpu-1, 62 %. 2 people wait for it." in told and "about 40 s" in told
    assert "Ready in about 40 s, by its last load. Tell me when it is ready" in note(browser, "R1 70B")


def test_a_cold_model_says_whom_it_would_cost_before_anybody_asks(browser: Client, engine: Engine) -> None:
    small = deploy(engine, "R1 1.5B", 30)
    deploy(engine, "R1 14B", 30, "stopped", load_ms=19_000)
    assert "Cold. Unloads R1 1.5B, used by nobody today." in rows(browser)["R1 14B"]
    used(small, "aylin", "jonas", "jonas")
    assert rows(browser)["R1 14B"] == "cold: R1 14B about 20 s Cold. Unloads R1 1.5B, used by 2 people today."
    assert note(browser, "R1 14B").startswith("Cold. Unloads R1 1.5B, used by 2 people today. Ready in about 20 s")
    CatalogueModel.objects.filter(key="R1 1.5B").update(is_visible=False)
    assert "Unloads another model" in rows(browser)["R1 14B"]


def test_what_is_pinned_or_answering_is_not_promised_to_go(browser: Client, engine: Engine) -> None:
    large = deploy(engine, "R1 32B", 30)
    deploy(engine, "R1 14B", 30, "stopped")
    SlotLease.objects.create(deployment=large, number=1)
    assert "once the models there have answered" in rows(browser)["R1 14B"]
    assert note(browser, "R1 14B").startswith("Cold. There is room on gpu-1 once the models there have answered. What")
    SlotLease.objects.all().delete()
    at = timezone.localtime().replace(hour=23, minute=59, second=59)
    pin = Pin.objects.create(deployment=large, owner="li", reason="demo", ends_at=at)
    assert "Pinned until 11:59 p.m.: R1 32B would have to go." in rows(browser)["R1 14B"]
    pin.ends_at = None
    pin.save()
    assert "R1 32B would have to go, and is pinned on gpu-1." in rows(browser)["R1 14B"]


def test_what_cannot_be_had_says_why(browser: Client, engine: Engine) -> None:
    deploy(engine, "R1 671B", 404, "stopped")
    deploy(engine, "R1 8B", 8, "failed", reason="no_token")
    StoredArtifact.objects.filter(artifact=deploy(engine, "R1 7B", 7, "stopped").artifact).update(state="pulling")
    told = rows(browser)
    assert told["R1 671B"] == "none: R1 671B does not fit Needs 404 GiB, more than gpu-1 has."
    assert "gone: R1 8B failed It did not get ready on gpu-1. It was loaded, and no token came out." in told["R1 8B"]
    assert "Its files are on their way to gpu-1." in told["R1 7B"]
    assert 'aria-disabled="true" data-model="R1 671B"' in browser.get("/models/choices/").content.decode()
    Host.objects.update(seen_at=timezone.now() - timedelta(minutes=5))
    assert "It is on gpu-1, which is silent." in rows(browser)["R1 7B"]


def test_the_best_state_comes_first(browser: Client, engine: Engine) -> None:
    deploy(engine, "a cold one", 1, "stopped")
    deploy(engine, "b loading", 1, "starting")
    deploy(engine, "c warm", 1)
    assert list(rows(browser)) == ["c warm", "b loading", "a cold one"]


def test_the_picker_speaks_chinese(browser: Client, engine: Engine) -> None:
    browser.cookies["django_language"] = "zh-hans"
    used(deploy(engine, "R1 1.5B", 30), "aylin")
    deploy(engine, "R1 14B", 30, "stopped", load_ms=19_000)
    assert "未加载。会卸载 R1 1.5B，今天有 1 人用过。" in rows(browser)["R1 14B"]
    assert "约 20 秒" in rows(browser)["R1 14B"]


def test_each_row_tells_the_page_what_its_engines_can(browser: Client, engine: Engine) -> None:
    """R1 on Ollama can be gone on with, another family there cannot; a toy server has no effort to choose."""
    deploy(engine, "deepseek-r1:7b", 5)
    deploy(engine, "qwen3:8b", 5)
    toy = Engine.objects.create(host=engine.host, kind="llama.cpp", base_url="http://127.0.0.1:10")
    deploy(toy, "toy", 1)
    page = browser.get("/models/choices/").content.decode()
    found = {
        key: set(re.findall(r"data-(goes-on|answers-now|has-effort)", rest))
        for key, rest in re.findall(r'data-model="([^"]+)"([^>]*)>', page)
    }
    assert found == {
        "deepseek-r1:7b": {"goes-on", "answers-now", "has-effort"},
        "qwen3:8b": {"has-effort"},
        "toy": {"goes-on", "answers-now"},
    }
    chosen = {key: browser.get("/", {"model": key}).content.decode() for key in found}
    hidden = {key for key, page in chosen.items() if re.search(r"<select[^>]*data-effort[^>]* hidden", page)}
    assert hidden == {"toy"}
