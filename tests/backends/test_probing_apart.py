"""One engine that hangs, or says what nobody thought of, keeps nobody from hearing of the others."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.utils import timezone

from models_admin.backends.base import Health, Overloaded
from models_admin.engines import fleet, secrets
from models_admin.loads import probing
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine
from tests import recorded_rules
from tests.backends.asking import until
from tests.recorded_engine import playing
from tests.running_engines import free_port

pytestmark = pytest.mark.django_db(transaction=True)
HANGS = None
WELL = {"status": "ok"}
# Each fits into a column of the database, their sum does not.
HUGE_GB = 8_000_000_000
SGLANG = {
    "/ready": {},
    "/v1/models": {"data": [{"id": "m", "owned_by": "sglang", "max_model_len": 2048}]},
    "/model_info": {"model_path": "m"},
    "/v1/loads": {"version": "1", "loads": [{"memory": {"weight_gb": HUGE_GB, "kv_cache_gb": HUGE_GB}}]},
}


@dataclass
class Saying:
    """An engine that answers some paths with JSON and is silent at all others; `held` are the questions there now."""

    url: str
    held: int = 0


@asynccontextmanager
async def saying(answers: Mapping[str, object]) -> AsyncIterator[Saying]:
    engine = Saying("")

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            path = (await reader.readuntil(b"\r\n\r\n")).split(b" ")[1].decode()
            if answers.get(path, HANGS) is HANGS:
                engine.held += 1
                await reader.read()  # until the other side gives up
                engine.held -= 1
            else:
                body = json.dumps(answers[path]).encode()
                writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    engine.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield engine
    finally:
        server.close()


async def in_database(function: Any, *arguments: Any) -> Any:
    return await sync_to_async(function)(*arguments)


@sync_to_async
def deploy(url: str, kind: str, name: str, *, is_cloud: bool = False) -> int:
    """A warm deployment; returns its engine's id."""
    engine = Engine.objects.create(host=fleet.local_host(), kind=kind, base_url=url, is_cloud=is_cloud)
    model = CatalogueModel.objects.create(key=name, name=name)
    artifact = Artifact.objects.create(model=model, ref=name)
    Deployment.objects.create(engine=engine, artifact=artifact, slots=1, context_tokens=100)
    return engine.pk


@sync_to_async
def state(engine_id: int) -> str:
    return Deployment.objects.get(engine_id=engine_id).state


@sync_to_async
def has_facts(engine_id: int) -> bool:
    return bool(Engine.objects.get(pk=engine_id).facts)


async def is_failed(engine_id: int) -> bool:
    return await state(engine_id) == "failed"


@pytest.mark.parametrize("answers", [{"/health": HANGS}, {"/health": WELL}], ids=["all of it", "only its facts"])
async def test_an_engine_that_hangs_holds_up_no_other(answers: dict[str, object]) -> None:
    async with saying(answers) as engine:
        await deploy(engine.url, "llama.cpp", "a")
        prober = probing.Prober(in_database)
        await prober.probe(seconds=0)
        gone = await deploy(f"http://127.0.0.1:{free_port()}", "llama.cpp", "b")
        await prober.probe(seconds=0)
        await until(lambda: is_failed(gone))
        assert engine.held, "it is still being waited for"


async def test_facts_that_no_database_holds_stop_no_round() -> None:
    async with saying(SGLANG) as odd, saying({**SGLANG, "/v1/loads": {"version": "2"}}) as plain:
        first, second = await deploy(odd.url, "sglang", "m"), await deploy(plain.url, "sglang", "n")
        prober = probing.Prober(in_database)
        await prober.probe()
        assert (await state(first), await has_facts(second)) == ("warm", True)
        await sync_to_async(Engine.objects.filter(pk=second).update)(base_url=f"http://127.0.0.1:{free_port()}")
        await prober.probe()
        assert await is_failed(second)


async def test_a_cloud_that_refused_is_left_alone_for_a_while_though_its_account_is_well() -> None:
    with playing(recorded_rules.deepseek()) as url:
        cloud = await deploy(url, "deepseek", "deepseek-flash", is_cloud=True)
        await sync_to_async(_give_key)()
        await in_database(probing.note_health, cloud, Health(False, Overloaded.code))
        await probing.Prober(in_database).probe()
        assert await state(cloud) == "starting"
        await sync_to_async(_let_time_pass)()
        await probing.Prober(in_database).probe()
        assert await state(cloud) == "warm"


def _give_key() -> None:
    Engine.objects.update(secret=secrets.encrypt(recorded_rules.deepseek().key))


def _let_time_pass() -> None:
    Deployment.objects.update(state_since=timezone.now() - timedelta(seconds=probing.CLOUD_RETRY_SECONDS + 1))
