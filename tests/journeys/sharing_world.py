"""What the pictures of sharing show: people, models, limits and past use, put into a stack's database.

The functions run in the stack's own shell, by `World.do`.
"""

from __future__ import annotations

import random
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.utils import timezone

from accounts import ledger, quota, quota_requests, rollup
from accounts.ledger import Use
from accounts.models import Group, QuotaLimit, User
from accounts.quota import Amounts
from chat import generation
from chat.generation import Ask
from chat.models import Conversation, Generation, LengthSeen, Message, Segment
from models_admin.models import (
    Artifact,
    CatalogueModel,
    Deployment,
    Engine,
    Host,
    Measurement,
    ModelAccess,
    PriceRow,
    RateCard,
)
from tests.journeys.sharing_words import (
    BUSY,
    CLOUD,
    DECODE_US,
    GIB,
    LIMITS,
    LONG,
    NAMES,
    PAST_DAYS,
    PEOPLE,
    SMALL,
    TALKS,
)


def models(ollama: str) -> None:
    """One busy model, a small one beside it, and two on an Ollama of which one fits; each with a rate and a length."""
    first = Deployment.objects.get(artifact__ref=BUSY)
    Deployment.objects.filter(pk=first.pk).update(context_tokens=32_768)
    Host.objects.update(memory_limit_bytes=GIB + GIB // 2)
    CatalogueModel.objects.get_or_create(key=SMALL, defaults={"name": NAMES[SMALL]})
    beside = Artifact.objects.create(
        model=CatalogueModel.objects.get(key=SMALL), ref=BUSY, source="ollama", digest="beside"
    )
    Deployment.objects.create(engine=first.engine, artifact=beside, context_tokens=8_192, slots=2, state="warm")
    Deployment.objects.filter(engine__base_url=ollama).update(measured_bytes=GIB, load_ms=45_000)
    for key, name in NAMES.items():
        CatalogueModel.objects.filter(key=key).update(name=name)
        LengthSeen.objects.create(model_key=key, think="auto", tokens=620, spread=200, seen=40)
        for row in Deployment.objects.filter(artifact__model__key=key):
            us = DECODE_US[key] * row.slots
            RateCard.objects.create(deployment=row, prefill_us_per_token=us // 40, decode_us_per_token=us)
            Measurement.objects.create(deployment=row, streams=1, tokens_per_second=30, first_token_ms=1_900)


def people() -> None:
    group, _is_new = Group.objects.get_or_create(name="Lab", defaults={"may_use_cloud": True})
    for name in PEOPLE:
        User.objects.create_user(name, main_group=group)
    User.objects.filter(main_group=None).update(main_group=group)


def name(pk: int, first: str, last: str, *, is_admin: bool = False) -> None:
    for before in User.objects.filter(username=first.lower()):
        User.objects.filter(pk=before.pk).update(username=f"{first.lower()}{before.pk}")
    User.objects.filter(pk=pk).update(
        username=first.lower(), first_name=first, last_name=last, is_staff=is_admin, is_superuser=is_admin
    )


def crowd() -> None:
    """Everybody else asks the busy model: two are answered, the others wait."""
    for person in User.objects.filter(username__in=PEOPLE[:4]).order_by("pk"):
        generation.submit(person, Ask(key=uuid.uuid4(), text=LONG, model=BUSY))


def asks(pk: int, model: str, text: str) -> None:
    generation.submit(User.objects.get(pk=pk), Ask(key=uuid.uuid4(), text=text, model=model))


def end_all() -> None:
    for live in Generation.objects.filter(state__in=Generation.LIVE):
        generation.stop_by_id(live.pk)


def use_today(key: str, count: int) -> None:
    """`count` people had answers of a model today."""
    row = Deployment.objects.filter(artifact__model__key=key).first()
    for person in User.objects.filter(username__in=PEOPLE[:count]):
        Generation.objects.create(
            user=person, client_key=uuid.uuid4(), request_digest="", model_key=key, state="done", deployment=row,
            ended_at=timezone.now(),
        )  # fmt: skip


def cloud() -> None:
    """A warm cloud with a price. What answers as it is the scripted engine once more, under another address."""
    first = Deployment.objects.get(artifact__model__key=BUSY).engine
    model = CatalogueModel.objects.create(key=CLOUD, name="DeepSeek V3.2")
    engine = Engine.objects.create(
        host=first.host, kind="openai-compatible", base_url=first.base_url.replace("127.0.0.1", "localhost"),
        secret=first.secret, is_cloud=True,
    )  # fmt: skip
    artifact = Artifact.objects.create(model=model, ref=BUSY, digest=CLOUD)
    Deployment.objects.create(engine=engine, artifact=artifact, context_tokens=128_000, slots=8, state="warm")
    PriceRow.objects.create(
        engine_kind=engine.kind, model_name=BUSY, valid_from=datetime(2026, 1, 1, tzinfo=UTC), cached_micro=28_000,
        prompt_micro=280_000, output_micro=420_000,
    )  # fmt: skip


def limits(pk: int, kinds: list[str]) -> None:
    for kind in kinds:
        fields: dict[str, Any] = {"time_zone": "Asia/Shanghai", **LIMITS[kind]}
        QuotaLimit.objects.create(subject_kind="user", subject_id=pk, **fields)


def take(pk: int, model_key: str = "", *, is_kept: bool = False, **amounts: int) -> None:
    """Counts use against a person's limits; `is_kept`: it goes on."""
    key, user = uuid.uuid4(), User.objects.get(pk=pk)
    wanted = Amounts(**{"requests": 0, "running": int(is_kept), **amounts})
    quota.reserve(user=user, token=None, generation_id=key, model_key=model_key, amounts=wanted)
    if not is_kept:
        quota.settle(key, wanted)


def ask_for_more(pk: int, reason: str) -> None:
    user, limit = User.objects.get(pk=pk), QuotaLimit.objects.filter(subject_id=pk).first()
    if limit is not None:
        quota_requests.ask(user, limit.pk, reason)


def past() -> None:
    """Three weeks of everybody's use, the same in each run."""
    dice, now = random.Random(4), datetime.now(UTC)
    minutes = min(600, now.hour * 60 + now.minute)  # all of today is today
    for person in User.objects.all():
        for day in range(PAST_DAYS):
            for key in (*NAMES, CLOUD):
                if dice.random() < 0.45:
                    continue
                for _ in range(dice.randint(1, 4)):
                    ledger.record(_use(dice, person, key, now - timedelta(days=day, minutes=dice.randint(0, minutes))))
    rollup.catch_up()


def _use(dice: random.Random, person: User, key: str, at: datetime) -> Use:
    answer, thought, is_cloud = dice.randint(100, 900), dice.randint(100, 2_500), key == CLOUD
    return Use(
        key=f"{uuid.uuid4()}/1/use", at=at, ledger_id=person.ledger_id, model_key=key, source="web",
        prompt_tokens=dice.randint(20, 3_000), thinking_tokens=thought, answer_tokens=answer,
        waiting_ms=int(dice.expovariate(1 / 9_000)),
        gpu_ms_charged=0 if is_cloud else (answer + thought) * DECODE_US[key] // 1_000,
        cost_micro=(answer + thought) * 3 if is_cloud else 0, currency="USD" if is_cloud else "",
        unsent_thinking_tokens=dice.choice([0, 0, 800]),
    )  # fmt: skip


def keep_from(pk: int, model_key: str, may: str) -> None:
    user, model = User.objects.get(pk=pk), CatalogueModel.objects.get(key=model_key)
    ModelAccess.objects.update_or_create(user=user, model=model, defaults={"may": may})


def carried_on(pk: int, language: str) -> str:
    """A conversation with an answer that went on after a loss. Returns its id."""
    talk = TALKS[language]
    row = _answered(pk, talk["title"], talk["question"], talk["before"] + talk["after"])
    deployment, start = Deployment.objects.get(artifact__model__key=BUSY), len(talk["before"])
    for attempt, (text_from, tokens, finish) in enumerate([(0, 186, "engine_broke_off"), (start, 164, "stop")], 1):
        Segment.objects.create(
            generation=row, attempt=attempt, deployment=deployment, answer_tokens=tokens, text_from=text_from,
            finish=finish,
        )  # fmt: skip
    return _conversation(row)


def broken_off(pk: int, language: str) -> str:
    """A conversation with an answer that broke off. Returns its id."""
    talk = TALKS[language]
    return _conversation(_answered(pk, talk["wish"], talk["wish"], talk["steps"], reason="engine_broke_off"))


def _answered(pk: int, title: str, question: str, text: str, reason: str = "") -> Generation:
    user, now = User.objects.get(pk=pk), timezone.now()
    made = Conversation.objects.create(user=user, title=title, model_key=BUSY, is_named=True)
    asked = Message.objects.create(conversation=made, role="user", text=question)
    answer = Message.objects.create(
        conversation=made, parent=asked, role="assistant", text=text, model_key=BUSY, finish=reason or "stop"
    )
    Conversation.objects.filter(pk=made.pk).update(active_leaf=answer)
    return Generation.objects.create(
        user=user, message=answer, client_key=uuid.uuid4(), request_digest="", model_key=BUSY,
        state="failed" if reason else "done", reason=reason, answer_tokens=312 if reason else 350,
        options={"think": "auto"},
        deployment=Deployment.objects.get(artifact__model__key=BUSY), started_at=now - timedelta(seconds=16),
        ended_at=now,
    )  # fmt: skip


def _conversation(row: Generation) -> str:
    return str(row.message.conversation_id) if row.message else ""
