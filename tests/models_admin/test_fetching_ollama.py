"""A pull that an Ollama of the host does: its words, and what they amount to."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from models_admin.orders.pull_orders import PullOrder, StopOrder, Told, Wanted
from models_admin.pulls import fetching
from models_admin.pulls.pull_sources import Place
from tests.models_admin.ollama_server import LAYERS, OllamaServer, serving, steps
from tests.processes import until_async

SUCCESS = {"status": "success"}


@pytest.fixture
def ollama() -> Iterator[OllamaServer]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetching, "TICK_SECONDS", 0.05)


def wanted(ollama: OllamaServer, digest: str = "d" * 64) -> Wanted:
    return Wanted("ollama", "deepseek-r1:7b", digest, None, ollama.address)


async def pulled(ollama: OllamaServer, folder: Path, order: Wanted) -> list[Told]:
    told: list[Told] = []
    await fetching.pull(PullOrder(1, 1, order), Place(folder), lambda word: bool(told.append(word)) or True)
    return told


async def test_success_and_the_pinned_digest_make_it_pulled(ollama: OllamaServer, tmp_path: Path) -> None:
    ollama.lines = steps(SUCCESS)
    end = (await pulled(ollama, tmp_path, wanted(ollama)))[-1].end
    assert end is not None and (end.outcome, end.verified, end.path) == ("success", True, "deepseek-r1:7b")
    assert end.bytes == sum(LAYERS.values()), "the layers are added up"


@pytest.mark.parametrize(
    ("last", "reason"),
    [
        ([{"error": "pull model manifest: file does not exist"}], "model_missing"),
        ([{"error": "digest mismatch, file must be downloaded again: want sha256:1, got sha256:2"}], "digest_differs"),
        ([{"error": "write /models/blobs/x: no space left on device"}], "disk_full"),
        ([{"status": "writing manifest"}], "engine_broke_off"),
        ([], "engine_broke_off"),
    ],
    ids=["missing", "digest", "full", "no success", "cut"],
)
async def test_a_200_without_success_is_none(
    ollama: OllamaServer, tmp_path: Path, last: list[dict[str, Any]], reason: str
) -> None:
    ollama.lines = steps(*last)
    end = (await pulled(ollama, tmp_path, wanted(ollama)))[-1].end
    assert end is not None and (end.outcome, end.verified) == ("failure", False)
    assert end.reason == reason


async def test_a_name_that_means_something_else_now_is_not_what_was_pinned(
    ollama: OllamaServer, tmp_path: Path
) -> None:
    ollama.lines = steps(SUCCESS)
    end = (await pulled(ollama, tmp_path, wanted(ollama, "e" * 64)))[-1].end
    assert end is not None and (end.outcome, end.reason) == ("failure", "digest_differs")


async def test_stopping_closes_the_pull_at_the_engine(ollama: OllamaServer, tmp_path: Path) -> None:
    ollama.lines = [*steps()[:4], None, *steps(SUCCESS)[4:]]
    running = asyncio.create_task(pulled(ollama, tmp_path, wanted(ollama)))
    await asyncio.sleep(0.3)
    fetching.stop(StopOrder(1, 1, wanted(ollama)), Place(tmp_path), lambda _told: True)
    told = await running
    await until_async(ollama.closed.is_set, "the engine sees it")
    done = [word.step.done for word in told if word.step]
    assert done and done[-1] == 4_000_000
    assert told[-1].end is None


async def test_an_ollama_that_is_not_there_is_told(tmp_path: Path) -> None:
    told: list[Told] = []
    order = PullOrder(1, 1, Wanted("ollama", "deepseek-r1:7b", "", None, "http://127.0.0.1:1"))
    await fetching.pull(order, Place(tmp_path), lambda word: bool(told.append(word)) or True)
    end = told[-1].end
    assert end is not None and end.reason == "engine_unreachable"
