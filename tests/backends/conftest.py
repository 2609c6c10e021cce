"""Both drivers against processes of their own: a real llama.cpp and the scripted engine in either dialect."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from models_admin.backends.base import Driver
from models_admin.backends.drivers import open_driver
from tests import running_engines
from tests.running_engines import RunningEngine


@pytest.fixture(scope="session")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    with running_engines.llama_cpp(tmp_path_factory.mktemp("llama")) as engine:
        yield engine


@pytest.fixture(scope="session")
def compatible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    with running_engines.scripted(tmp_path_factory.mktemp("compatible"), slots=200) as engine:
        yield engine


@pytest.fixture(scope="session")
def scripted_llama(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningEngine]:
    with running_engines.scripted(tmp_path_factory.mktemp("scripted"), kind="llama.cpp", slots=200) as engine:
        yield engine


@pytest.fixture(params=["llama", "compatible", "scripted_llama"])
def engine(request: pytest.FixtureRequest) -> RunningEngine:
    """Every engine in turn."""
    found: RunningEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture(params=["compatible", "scripted_llama"])
def script(request: pytest.FixtureRequest) -> RunningEngine:
    """The scripted engine under each driver, for faults that no real engine shows on demand."""
    found: RunningEngine = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def driver(engine: RunningEngine) -> AsyncIterator[Driver]:
    async with open_driver(engine.endpoint) as opened:
        yield opened


@pytest.fixture
async def script_driver(script: RunningEngine) -> AsyncIterator[Driver]:
    async with open_driver(script.endpoint) as opened:
        yield opened
