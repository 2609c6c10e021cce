"""What stands under the message field before anybody sends: what a question takes, and of how much."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.models import QuotaLimit, User
from chat.models import Conversation, Generation, LengthSeen, Message, Segment
from models_admin.engines import fleet
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, ModelAccess, RateCard

pytestmark = pytest.mark.django_db
BACKEND = "django.contrib.auth.backends.ModelBackend"


@pytest.fixture
def reader() -> User:
    return User.objects.create_user("reader")


@pytest.fixture
def browser(reader: User) -> Client:
    client = Client()
    client.force_login(reader, backend=BACKEND)
    return client


@pytest.fixture(autouse=True)
def deployment(db: None) -> Deployment:
    """1 ms a token read, 40 ms one written, 1,000 tokens an answer: 40 GPU s."""
    engine = Engine.objects.create(host=fleet.local_host(), kind="vllm", base_url="http://127.0.0.1:9")
    model = CatalogueModel.objects.create(key="r1", name="R1 32B")
    artifact = Artifact.objects.create(model=model, ref="r1")
    made = Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=4096, slots=1, state="warm")
    RateCard.objects.create(deployment=made, prefill_us_per_token=1_000, decode_us_per_token=40_000)
    LengthSeen.objects.create(model_key="r1", think="auto", tokens=1_000, seen=9)
    LengthSeen.objects.create(model_key="r1", think="off", tokens=100, seen=9)
    return made


def told(browser: Client, **asked: Any) -> str:
    page = browser.get("/models/foretold/" if asked else "/", {"model": "r1", **asked}).content.decode()
    found = re.search(r"data-foretold>(.*?)</span>", page)
    assert found
    return html.unescape(found[1])


def limit(**fields: Any) -> QuotaLimit:
    fields = {"unit": "gpu_ms", "window": "day", "amount": 600_000, **fields}
    return QuotaLimit.objects.create(subject_kind="everyone", is_each=True, **fields)


def test_it_tells_of_how_much_and_grows_with_the_text(browser: Client) -> None:
    assert told(browser) == "Takes about 40 GPU s."
    limit()
    limit(window="month", amount=9_000_000)
    assert told(browser) == "Takes about 40 of your 600 GPU s."
    assert told(browser, others=3_800) == "Takes about 41 of your 600 GPU s."
    assert told(browser, han=50_000, think="off") == "Takes about 34 of your 600 GPU s."
    browser.cookies["django_language"] = "zh-hans"
    assert told(browser) == "约需 40 GPU 秒，你还剩 600。"


def test_too_little_left_is_told_before_anybody_sends(browser: Client) -> None:
    limit(unit="output_tokens", amount=900)
    assert told(browser) == "Takes about 40 GPU s. More than is left of “Tokens today”."
    assert "outlook__price--short" in browser.get("/").content.decode()
    assert told(browser, think="off") == "Takes about 4 GPU s."


def test_the_chosen_effort_counts_as_assumed_until_some_was_seen(browser: Client) -> None:
    assert [told(browser, effort=each) for each in ("low", "medium", "high")] == [
        "Takes about 20 GPU s.", "Takes about 40 GPU s.", "Takes about 60 GPU s.",
    ]  # fmt: skip
    LengthSeen.objects.create(model_key="r1", think="low", tokens=150, seen=3)
    assert told(browser, effort="low") == "Takes about 6 GPU s."
    assert told(browser, effort="low", think="off") == "Takes about 4 GPU s."


def test_a_budget_of_thinking_ends_the_thought_and_leaves_the_answer(
    browser: Client, reader: User, deployment: Deployment
) -> None:
    model = deployment.artifact.model
    CatalogueModel.objects.update(thinking_budget=500)
    assert told(browser) == "Takes about 24 GPU s."
    ModelAccess.objects.create(model=model, user=reader, thinking_budget=200)
    assert told(browser) == "Takes about 12 GPU s."
    assert told(browser, think="off") == "Takes about 4 GPU s."
    Engine.objects.update(kind="openai-compatible")
    assert told(browser) == "Takes about 40 GPU s."


def test_what_went_before_is_read_again_and_only_ones_own_is_known(browser: Client, reader: User) -> None:
    theirs = User.objects.create_user("stranger")
    for owner, expected in ((reader, "Takes about 45 GPU s."), (theirs, "Takes about 40 GPU s.")):
        conversation = Conversation.objects.create(user=owner)
        answer = Message.objects.create(conversation=conversation, role="assistant")
        made = Generation.objects.create(
            user=owner, message=answer, client_key=uuid.uuid4(), request_digest="", model_key="r1", state="done",
            prompt_tokens=4_000, answer_tokens=1_000, ended_at=timezone.now(),
        )  # fmt: skip
        Segment.objects.create(generation=made, attempt=1, prompt_tokens=4_000, answer_tokens=1_000, finish="stop")
        assert told(browser, conversation=conversation.pk) == expected


def test_a_model_that_is_not_seen_is_told_nothing_of(browser: Client) -> None:
    CatalogueModel.objects.update(is_restricted=True)
    assert told(browser, model="r1") == told(browser, model="no-such") == ""


def test_bad_counts_are_no_question(browser: Client) -> None:
    for bad in ("-1", "9" * 40, "x", "١"):
        assert told(browser, others=bad, han=bad, conversation="no id", think="x") == "Takes about 40 GPU s."
