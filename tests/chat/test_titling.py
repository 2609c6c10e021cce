"""Titles made in idle time: only when nobody waits, at home, on nobody's limits, and never over a typed one."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts import rollup
from accounts.models import LedgerEntry, QuotaCounter, QuotaLimit, User
from chat import claiming, generation, scheduling, settlement
from chat.claiming import Work
from chat.generation import Ask
from chat.line_memory import LineMemory
from chat.models import Conversation, Generation, LengthSeen
from chat.outcome import Outcome
from models_admin.engines import fleet
from models_admin.models import CatalogueModel, Deployment, Engine, Worker

Make = Callable[..., Ask]
BACKEND = "django.contrib.auth.backends.ModelBackend"
QUESTION = "How far is it from here to there?"


@pytest.fixture(autouse=True)
def switch(deployment: Deployment) -> None:
    """An engine that can answer without thinking first."""
    Engine.objects.update(kind="vllm")


@pytest.fixture
def worker(db: None) -> Worker:
    return fleet.register_worker("w")


@pytest.fixture
def browser(person: User) -> Client:
    client = Client()
    client.force_login(person, backend=BACKEND)
    return client


@pytest.fixture
def answered(person: User, ask: Make, deployment: Deployment, worker: Worker) -> uuid.UUID:
    """A conversation with its answer."""
    made = generation.submit(person, ask(QUESTION))
    write("Ten paces.", worker)
    return made.conversation


def write(text: str, worker: Worker, memory: LineMemory | None = None, **fields: Any) -> Work:
    """What waits is released and written."""
    scheduling.release_what_can_run(memory)
    row = Generation.objects.get(state="released")
    work = claiming.claim(row.pk, row.attempt, worker.pk)
    done = Outcome(
        state="done", reason="", thinking="", text=text, last_seq=1, finish="stop", prompt_tokens=9, answer_tokens=3,
        has_token=True,
    )  # fmt: skip
    assert work and settlement.settle(row.pk, row.attempt, worker.pk, replace(done, **fields))
    return work


def sweep() -> None:
    """What the line's leader does every few seconds."""
    scheduling.sweep(may_reap=False)


def titles(browser: Client) -> str:
    return browser.get("/conversations/").content.decode()


def test_an_answered_conversation_gets_a_title_that_costs_no_limit(
    browser: Client, person: User, answered: uuid.UUID, worker: Worker, ask: Make
) -> None:
    limit = QuotaLimit.objects.create(subject_kind="everyone", unit="requests", window="day", amount=1, is_each=True)
    seen = list(LengthSeen.objects.values_list("seen", "tokens"))
    assert QUESTION in titles(browser)
    sweep()
    assert "writing" not in titles(browser) and titles(browser).count('data-conversation="') == 1
    generation.submit(person, ask("And back?", conversation=answered))  # it blocks nothing
    Generation.objects.filter(queue_class="interactive", state="waiting").update(
        state="stopped", ended_at=timezone.now()
    )
    work = write('**"Title: Distance in paces"**\n\nBecause…', worker)
    assert (work.request.think, work.request.max_tokens, work.is_cloud) == ("off", 32, False)
    assert QUESTION in work.request.messages[-1].content and len(work.request.messages) == 1
    sweep()
    assert "Distance in paces" in titles(browser) and QUESTION not in titles(browser)
    assert Conversation.objects.count() == 1
    assert list(LedgerEntry.objects.order_by("pk").values_list("source", flat=True)) == ["web", "idle"]
    assert QuotaCounter.objects.get(limit=limit).used == 0
    assert list(LengthSeen.objects.values_list("seen", "tokens")) == seen, "a title is no answer of ordinary length"
    sweep()
    assert not Generation.objects.filter(state="waiting").exists(), "one title is enough"


def test_a_title_is_nobodys_use_and_moves_nobodys_place(
    browser: Client, person: User, answered: uuid.UUID, worker: Worker, ask: Make
) -> None:
    Deployment.objects.update(slots=1)
    rollup.catch_up()
    before = browser.get("/usage/usage.csv").content
    memory = LineMemory()
    sweep()
    write("Distance in paces", worker, memory=memory, prompt_tokens=900_000)
    scheduling.release_what_can_run(memory)
    mine = generation.submit(person, ask())
    generation.submit(User.objects.create_user("bob"), ask())
    scheduling.release_what_can_run(memory)
    assert Generation.objects.get(pk=mine.generation).state == "released", "both have used as much as the other"
    rollup.catch_up()
    assert browser.get("/usage/usage.csv").content == before
    User.objects.update(is_superuser=True, is_staff=True)
    board = browser.get("/admin/accounts/boxday/").content.decode()
    assert "the site itself, in idle time" in board and "by one person" in board


@pytest.mark.parametrize("moment", ["before", "meanwhile"])
def test_a_title_that_somebody_typed_stays(browser: Client, answered: uuid.UUID, worker: Worker, moment: str) -> None:
    if moment == "meanwhile":
        sweep()
    browser.post(f"/c/{answered}/rename/", {"title": "Mine"})
    if moment == "before":
        sweep()
        assert not Generation.objects.filter(state="waiting").exists()
    else:
        write("Distance in paces", worker)
        sweep()
    assert "Mine" in titles(browser)


@pytest.mark.parametrize(
    "written", [{"text": "It is about the distance", "finish": "length"}, {"text": "<think>hm"}, {"text": "x" * 61}]
)
def test_what_is_no_title_leaves_the_question_and_is_not_tried_again(
    browser: Client, answered: uuid.UUID, worker: Worker, written: dict[str, str]
) -> None:
    sweep()
    write(worker=worker, **written)  # type: ignore[arg-type]
    sweep()
    sweep()
    assert QUESTION in titles(browser) and Conversation.objects.count() == 1


def cloud() -> None:
    Engine.objects.update(kind="deepseek", is_cloud=True)
    User.objects.update(is_superuser=True)


def no_switch() -> None:
    Engine.objects.update(kind="openai-compatible")


def cold() -> None:
    Deployment.objects.update(state="stopped")


def demo() -> None:
    for row in (CatalogueModel.objects.all(), Conversation.objects.all()):
        row.update(**{"key" if row.model is CatalogueModel else "model_key": fleet.DEMO_MODEL})


def somebody_waits() -> None:
    other = User.objects.create_user("other")
    Generation.objects.create(user=other, client_key=uuid.uuid4(), request_digest="", model_key="else")


@pytest.mark.parametrize("case", [cloud, no_switch, cold, demo, somebody_waits])
def test_there_is_none(answered: uuid.UUID, case: Callable[[], None]) -> None:
    case()
    sweep()
    assert not Generation.objects.filter(queue_class="idle").exists()


def test_there_is_none_where_an_admin_wants_none(answered: uuid.UUID, settings: Any) -> None:
    settings.TITLES = False
    sweep()
    assert not Generation.objects.filter(queue_class="idle").exists()


def test_a_title_loads_no_model_and_does_not_wait_for_long(answered: uuid.UUID, browser: Client) -> None:
    sweep()
    Engine.objects.update(kind="ollama")
    cold()
    scheduling.release_what_can_run()
    assert Deployment.objects.get().state == "stopped" and Deployment.objects.get().reason == ""
    assert "One person waits" not in browser.get("/box/").content.decode()
    Generation.objects.filter(queue_class="idle").update(created_at=timezone.now() - timedelta(seconds=11))
    sweep()
    assert not Generation.objects.filter(state="waiting").exists()
    sweep()
    Deployment.objects.update(state="warm")
    sweep()
    assert Generation.objects.filter(state="waiting", queue_class="idle").count() == 1, "it is asked another time"
