"""Which engines answer: asked every few seconds by whoever leads, kept as the state of their deployments.

Apart from `fleet`, because it loads the drivers: a web process has no use for 30 MB of HTTP clients.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import math
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from django.db import DatabaseError
from django.db.models import Q
from django.db.models.functions import Now
from django.utils import timezone

from models_admin.backends.base import BackendError, Endpoint, Health, Overloaded
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.drivers import open_driver
from models_admin.engines import engine_facts, on_demand_engines, row_locks, secrets
from models_admin.loads import warm_notes
from models_admin.models import Deployment, Engine

log = logging.getLogger(__name__)
PROBE_SECONDS = 3.0
# Of a round for the slowest: whoever says nothing until then is heard when he speaks.
PATIENCE_SECONDS = 1.0
# A cloud is not ours to ask every three seconds; one that refused us is looked at sooner.
CLOUD_PROBE_SECONDS = 60.0
CLOUD_RETRY_SECONDS = 10.0
# Version, slots, memory: what changes when an engine is started anew, and its load for the admin's eyes.
FACTS_SECONDS = 30.0
# For all questions of one look; each model costs one or two.
LOOK_SECONDS = 60.0
# A busy engine may be slow: only two silences in a row, each of the driver's own deadline, count.
TRIES = 2
InDatabase = Callable[..., Awaitable[Any]]
Question = Literal["health", "facts"]


@dataclass(frozen=True)
class _Asked:
    """An engine to ask; `endpoint` None where its key cannot be read. `models` are those deployed on it."""

    id: int
    endpoint: Endpoint | None
    is_cloud: bool
    is_well: bool
    models: list[str]


class Prober:
    """Asks every engine how it is, and less often what it is. `in_database` runs a function that uses the ORM.

    Every question is a task of its own: an engine that hangs holds up nobody but itself.
    """

    def __init__(self, in_database: InDatabase) -> None:
        self._in_database = in_database
        self._health_at: dict[int, float] = {}
        self._facts_at: dict[int, float] = {}
        self._asking: dict[tuple[Question, int], asyncio.Task[None]] = {}

    async def probe(self, *, seconds: float | None = None) -> None:
        """Ask all engines that are due. Returns when all have spoken or after `seconds`: later words count too."""
        engines: list[_Asked] = await self._in_database(_engines)
        for engine in engines:
            if self._is_due(engine):
                self._health_at[engine.id] = time.monotonic()
                self._start("health", engine.id, self._ask(engine))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._asking:
                    await asyncio.wait(self._asking.values())

    def _is_due(self, engine: _Asked) -> bool:
        if ("health", engine.id) in self._asking:
            return False
        age = time.monotonic() - self._health_at.get(engine.id, -math.inf)
        return not engine.is_cloud or age >= (CLOUD_PROBE_SECONDS if engine.is_well else CLOUD_RETRY_SECONDS)

    def _start(self, what: Question, engine_id: int, question: Coroutine[Any, Any, None]) -> None:
        task = self._asking[what, engine_id] = asyncio.create_task(question)
        task.add_done_callback(functools.partial(self._ended, what, engine_id))

    def _ended(self, what: Question, engine_id: int, task: asyncio.Task[None]) -> None:
        """An engine may say what nobody thought of; the next round asks it again, and the others all the same."""
        del self._asking[what, engine_id]
        error = None if task.cancelled() else task.exception()
        if isinstance(error, DatabaseError):
            log.warning("%s of engine %s not noted: %s", what, engine_id, error)
        elif error is not None:
            log.error("%s of engine %s not noted", what, engine_id, exc_info=error)

    async def _ask(self, engine: _Asked) -> None:
        asked_at = timezone.now()
        told = await health(engine.endpoint)
        await self._in_database(note_health, engine.id, told)
        if engine.endpoint is not None and told.is_ready and CAPABILITIES[engine.endpoint.kind].load:
            await self._note_loaded(engine.id, engine.endpoint, asked_at)
        since = time.monotonic() - self._facts_at.get(engine.id, -math.inf)
        if engine.endpoint is None or not told.is_ready:
            self._facts_at.pop(engine.id, None)  # it may come back as another one: look at once then
        elif since >= FACTS_SECONDS and ("facts", engine.id) not in self._asking:
            self._facts_at[engine.id] = time.monotonic()
            self._start("facts", engine.id, self._look(engine.id, engine.endpoint, engine.models))

    async def _note_loaded(self, engine_id: int, endpoint: Endpoint, asked_at: datetime) -> None:
        """What others load and unload there is seen with the next look."""
        with contextlib.suppress(BackendError):
            async with open_driver(endpoint) as driver:
                here = {row.name: row.context_tokens for row in await driver.loaded()}
            await self._in_database(on_demand_engines.note_loaded, engine_id, here, asked_at)

    async def _look(self, engine_id: int, endpoint: Endpoint, models: list[str]) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS), open_driver(endpoint) as driver:
                facts = await engine_facts.read(driver, models)
        except (BackendError, TimeoutError) as error:
            log.info("engine %s does not tell its facts: %s", engine_id, type(error).__name__)
            return
        await self._in_database(engine_facts.note, engine_id, facts)


async def health(endpoint: Endpoint | None) -> Health:
    """What the engine says, `is_ready` False where it says nothing. Never raises for what an engine does."""
    if endpoint is None:
        return Health(False, "key_unreadable")
    told = Health(False)
    for _ in range(TRIES):
        try:
            async with open_driver(endpoint) as driver:
                told = await driver.health()
        except BackendError as error:
            return Health(False, error.code)
        if told.is_ready:
            break
    return told


def state_by_health(engine: Engine, health: Health) -> Deployment.State:
    """What a deployment is while its engine says this. The site itself starts a launched one again."""
    if health.is_ready:
        return Deployment.State.WARM
    is_coming = engine.is_launched or health.detail == Overloaded.code
    return Deployment.State.STARTING if is_coming else Deployment.State.FAILED


def note_health(engine_id: int, health: Health) -> None:
    """Move the engine's deployments to what it says; what an admin put aside stays where it is."""
    engine = Engine.objects.filter(pk=engine_id).first()
    if engine is None:
        return
    if CAPABILITIES[engine.kind].load:
        on_demand_engines.note_health(engine, is_ready=health.is_ready, detail=health.detail)
        return
    if not health.is_ready:
        warm_notes.note_silent_servers(engine)
    state, states = state_by_health(engine, health), Deployment.State
    # A server that its host launched is warm by a token and not by its health.
    moved = Deployment.objects.filter(
        engine=engine, launch__isnull=True, state__in=[states.WARM, states.STARTING, states.FAILED]
    )
    if engine.is_cloud and health.is_ready:
        # A full cloud's account looks well: what a runner was refused goes before that for a while.
        moved = moved.filter(state_since__lt=Now() - timedelta(seconds=CLOUD_RETRY_SECONDS))
    row_locks.move(moved.exclude(state=state), state=state, state_since=Now())


def _engines() -> list[_Asked]:
    """All but servers that nobody launches any more: one that was just attached has no model yet."""
    models: dict[int, list[str]] = {}
    well: set[int] = set()
    for engine_id, ref, state in Deployment.objects.values_list("engine_id", "artifact__ref", "state"):
        models.setdefault(engine_id, []).append(ref)
        if state == Deployment.State.WARM:
            well.add(engine_id)
    engines = Engine.objects.filter(Q(pk__in=models) | Q(is_launched=False))
    return [
        _Asked(
            each.pk, _endpoint(each), each.is_cloud, each.pk in well or each.pk not in models, models.get(each.pk, [])
        )
        for each in engines
    ]


def _endpoint(engine: Engine) -> Endpoint | None:
    """None where the stored key cannot be read: such an engine cannot be asked for an answer either."""
    try:
        return endpoint_of(engine)
    except secrets.SecretUnreadable:
        return None


def endpoint_of(engine: Engine) -> Endpoint:
    """Where it listens, with its key. Raises SecretUnreadable."""
    return Endpoint(engine.base_url, secrets.decrypt(engine.secret) if engine.secret else "", engine.kind)
