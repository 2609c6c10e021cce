"""What a running engine says of itself is kept with its age, and what is no longer as it was is noticed."""

from __future__ import annotations

from collections.abc import Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command
from django.test import Client

from accounts.models import User
from models_admin.engines import engine_facts
from models_admin.loads.probing import Prober
from models_admin.models import CatalogueModel, Deployment, Engine, EngineChange
from tests import recorded_rules, running_engines
from tests.recorded_engine import Replay, Rule, playing

pytestmark = pytest.mark.django_db(transaction=True)


async def in_database(function: Any, *arguments: Any) -> Any:
    return await sync_to_async(function)(*arguments)


async def look() -> None:
    """A fresh prober looks at everything at once."""
    await Prober(in_database).probe()


@sync_to_async
def attach(url: str, kind: str, *, model: str = "r1-tiny", words: Sequence[str] = ()) -> None:
    known = ["--kind", kind, "--model", model]
    call_command("attach_engine", url, *known, *words, stdout=StringIO(), stderr=StringIO())


@sync_to_async
def changes() -> list[tuple[str, str, str]]:
    return list(EngineChange.objects.order_by("pk").values_list("what", "before", "after"))


@sync_to_async
def page_of_the_engine(path: str = "") -> str:
    """As an administrator sees it: the list, or with a path its own page."""
    return admin_page(f"engine/{path}")


@sync_to_async
def page_of_the_model() -> str:
    return admin_page(f"cataloguemodel/{CatalogueModel.objects.get().pk}/change/")


def admin_page(path: str) -> str:
    admin, _ = User.objects.get_or_create(username="root", defaults={"is_superuser": True, "is_staff": True})
    browser = Client()
    browser.force_login(admin)
    content: bytes = browser.get(f"/admin/models_admin/{path}").content
    return content.decode()


def other(replay: Replay, path: str, recording: str) -> None:
    """From now on another recording answers there."""
    replay.rules = (Rule("GET", path, recording), *replay.rules)


async def test_version_models_memory_and_load_stand_in_the_admin() -> None:
    with playing(recorded_rules.sglang()) as url:
        await attach(url, "sglang")
        await look()
    row = await sync_to_async(lambda: Engine.objects.get())()
    facts = engine_facts.stored(row)
    assert facts is not None and engine_facts.is_fresh(row)
    assert (facts.version, facts.slots, facts.context_tokens, facts.running) == ("0.5.23", 8, 2048, 0)
    assert "0 of 8 running" in await page_of_the_engine()
    own = await page_of_the_engine(f"{row.pk}/change/")
    assert "r1-tiny-hf" in own and "context 2048" in own


async def test_another_version_is_noticed_once(tmp_path: Path) -> None:
    replay = recorded_rules.vllm()
    with playing(replay) as url:
        await attach(url, "vllm")
        await look()
        assert await changes() == []
        other(replay, "/version", "documented/vllm_version_next")
        await look()
        await look()
    assert await changes() == [("version", "0.32.0", "0.33.0")]
    assert "1 change" in await page_of_the_engine()


async def test_other_weights_behind_the_same_name_are_noticed() -> None:
    replay = recorded_rules.ollama()
    with playing(replay) as url:
        await attach(url, "ollama")
        await look()
        other(replay, "/api/tags", "documented/ollama_tags_pulled_anew")
        await look()
    seen = await changes()
    assert [what for what, _, _ in seen] == ["model"]
    assert seen[0][1] != seen[0][2] == "f" * 64
    assert (await sync_to_async(lambda: Deployment.objects.get())()).measured_bytes == 3080704


async def test_what_a_loaded_model_takes_stands_beside_what_was_expected() -> None:
    replay = recorded_rules.ollama()
    other(replay, "/api/ps", "documented/ollama_ps_7b")
    other(replay, "/api/tags", "documented/ollama_ps_7b")
    with playing(replay) as url:
        await attach(url, "ollama", model="deepseek-r1:7b", words=["--context", "8192", "--slots", "1"])
        await look()
    row = await sync_to_async(lambda: Deployment.objects.get())()
    # 4.36 GiB of file, 0.44 GiB of cache for 8192 tokens and 1 GiB for buffers.
    assert row.expected_bytes is not None and round(row.expected_bytes / 1024**3, 1) == 5.8
    assert row.measured_bytes == 5_900_000_000
    page = await page_of_the_model()
    assert "5.5 GiB measured" in page and "%" in page


async def test_an_engine_with_fewer_slots_is_given_no_more_than_it_has(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(running_engines.KEY)
    with running_engines.llama_cpp(tmp_path, slots=2, context=1024) as engine:
        wish = ["--slots", "9", "--context", "9999", "--key-file", str(key)]
        await attach(engine.endpoint.base_url, "llama.cpp", words=wish)
        await look()
    row = await sync_to_async(lambda: Deployment.objects.get())()
    assert (row.slots, row.context_tokens) == (2, 1024)


async def test_a_context_that_somebody_else_loaded_bounds_nothing_where_each_question_chooses_it() -> None:
    replay = recorded_rules.ollama()
    with playing(replay) as url:
        await attach(url, "ollama", words=["--context", "8192"])
        await look()
        other(replay, "/api/ps", "documented/ollama_ps_7b")
        await look()
    row = await sync_to_async(lambda: Deployment.objects.get())()
    assert row.context_tokens == 8192, "2048 and 8192 were loaded"
    assert await changes() == []


async def test_a_version_without_end_is_cut() -> None:
    replay = recorded_rules.vllm()
    with playing(replay) as url:
        await attach(url, "vllm")
        other(replay, "/version", "documented/vllm_version_endless")
        await look()
    assert len(str((await sync_to_async(lambda: Engine.objects.get())()).facts)) < 2000


async def test_a_models_digest_and_memory_are_told_as_people_read_them() -> None:
    with playing(recorded_rules.ollama()) as url:
        await attach(url, "ollama")
        await look()
    page = await page_of_the_engine(f"{await the_engine()}/change/")
    assert "d72435188722 · context 2048 · 3 MiB of memory, 0 % of it on GPUs" in page
    assert "just now" in page and "Balance" not in page


async def test_what_cannot_load_on_demand_is_never_told_as_not_loaded(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text(running_engines.KEY)
    with running_engines.llama_cpp(tmp_path, slots=2, context=1024) as engine:
        await attach(engine.endpoint.base_url, "llama.cpp", words=["--key-file", str(key)])
        await look()
    page = await page_of_the_engine(f"{await the_engine()}/change/")
    assert "r1-tiny.gguf" in page and "not loaded" not in page


@sync_to_async
def the_engine() -> int:
    return Engine.objects.get().pk


async def test_what_was_told_long_ago_is_shown_as_old() -> None:
    with playing(recorded_rules.sglang()) as url:
        await attach(url, "sglang")
        await look()
    await sync_to_async(Engine.objects.update)(facts_at="2026-01-01T00:00:00Z")
    assert "so it may be otherwise" in await page_of_the_engine()
