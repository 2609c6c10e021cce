"""The state of deployments follows what their engines say: real ones, killed and paused for real."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.test import AsyncClient, Client

from accounts.models import User
from models_admin.engines import fleet
from models_admin.loads import probing
from models_admin.models import Deployment, Engine
from tests import running_engines
from tests.running_engines import RunningEngine, free_port

pytestmark = pytest.mark.django_db(transaction=True)


async def in_database(function: Any, *arguments: Any) -> Any:
    return await sync_to_async(function)(*arguments)


@sync_to_async
def attach(url: str, engine: RunningEngine, *words: str) -> None:
    known = ["--kind", engine.endpoint.kind, "--model", engine.model, "--slots", "1", "--context", "100"]
    call_command("attach_engine", url, *known, *words, stdout=StringIO(), stderr=StringIO())


@sync_to_async
def state() -> str:
    return Deployment.objects.get().state


@sync_to_async
def health_says_model() -> bool:
    answer: bool = Client().get("/healthz").json()["model"]
    return answer


async def test_an_engine_that_dies_is_no_model_to_ask_until_it_is_back(tmp_path: Path) -> None:
    with running_engines.scripted(tmp_path) as engine:
        await attach(engine.endpoint.base_url, engine)
        assert (await state(), await health_says_model()) == ("warm", True)
        engine.process.kill()
        engine.process.wait()
        await probing.Prober(in_database).probe()
        assert (await state(), await health_says_model()) == ("failed", False)
        assert not any(choice.is_warm for choice in await sync_to_async(fleet.choices)())


@pytest.mark.parametrize(("words", "while_silent"), [([], "failed"), (["--launched"], "starting")])
async def test_an_engine_attached_while_silent_is_warm_once_it_answers(
    tmp_path: Path, words: list[str], while_silent: str
) -> None:
    with running_engines.scripted(tmp_path) as engine:
        await attach(f"http://127.0.0.1:{free_port()}", engine, *words)
        assert (await state(), await health_says_model()) == (while_silent, False)
        await sync_to_async(Engine.objects.update)(base_url=engine.endpoint.base_url)
        await probing.Prober(in_database).probe()
        assert (await state(), await health_says_model()) == ("warm", True)


async def test_an_engine_added_by_its_address_offers_its_models_once_it_has_answered(tmp_path: Path) -> None:
    with running_engines.scripted(tmp_path) as engine:
        admin = await sync_to_async(_admin)()
        fields = {"host": (await sync_to_async(fleet.local_host)()).pk, "kind": engine.endpoint.kind}
        key = {"base_url": engine.endpoint.base_url, "new_key": engine.endpoint.key}
        page = (await admin.post("/admin/models_admin/engine/add/", fields | key)).headers["location"]
        assert "It is being asked what it serves." in (await admin.get(page)).content.decode()
        await probing.Prober(in_database).probe()
        assert f'name="model" value="{engine.model}"' in (await admin.get(page)).content.decode()
        attach_to = page.replace("/change/", "/attach/")
        told = await admin.post(attach_to, {"model": [engine.model, "never offered"]}, follow=True)
        assert "1 model is attached." in told.content.decode() and await state() == "warm"


async def test_what_an_admin_put_aside_stays_there(tmp_path: Path) -> None:
    with running_engines.scripted(tmp_path) as engine:
        await attach(engine.endpoint.base_url, engine)
        await sync_to_async(Deployment.objects.update)(state="quarantined")
        await probing.Prober(in_database).probe()
        assert await state() == "quarantined"


async def test_an_engine_whose_key_cannot_be_read_is_not_warm(tmp_path: Path, settings: Any) -> None:
    with running_engines.scripted(tmp_path) as engine:
        await attach(engine.endpoint.base_url, engine, "--key-file", str(_key_file(tmp_path)))
        settings.SECRET_KEY = "another one than the key was stored with"
        await probing.Prober(in_database).probe()
        assert await state() == "failed"


def _admin() -> AsyncClient:
    client = AsyncClient()
    client.force_login(User.objects.create_superuser("root"), backend="django.contrib.auth.backends.ModelBackend")
    return client


def _key_file(folder: Path) -> Path:
    path = folder / "key"
    path.write_text(running_engines.KEY)
    return path
