"""Which engines answer: asked every few seconds by whoever leads, kept as the state of their deployments.

Apart from `fleet`, because it loads the drivers: a web process has no use for 30 MB of HTTP clients.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django.db.models.functions import Now

from models_admin import secrets
from models_admin.backends import open_driver
from models_admin.backends.base import BackendError, Endpoint, Health, Overloaded
from models_admin.models import Deployment, Engine

PROBE_SECONDS = 3.0
# A busy engine may be slow: only two silences in a row, each of the driver's own deadline, count.
TRIES = 2


async def probe(in_database: Callable[..., Awaitable[Any]]) -> None:
    """Ask every engine at once and note what it said. `in_database` runs a function that uses the ORM."""

    async def ask(engine_id: int, endpoint: Endpoint | None) -> None:
        await in_database(note_health, engine_id, await health(endpoint))

    endpoints: dict[int, Endpoint | None] = await in_database(_endpoints)
    await asyncio.gather(*(ask(engine_id, endpoint) for engine_id, endpoint in endpoints.items()))


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
    state, states = state_by_health(engine, health), Deployment.State
    moved = Deployment.objects.filter(engine=engine, state__in=[states.WARM, states.STARTING, states.FAILED])
    moved.exclude(state=state).update(state=state, state_since=Now())


def _endpoints() -> dict[int, Endpoint | None]:
    return {engine.pk: _endpoint(engine) for engine in Engine.objects.filter(deployments__isnull=False).distinct()}


def _endpoint(engine: Engine) -> Endpoint | None:
    """None where the stored key cannot be read: such an engine cannot be asked for an answer either."""
    try:
        return endpoint_of(engine)
    except secrets.SecretUnreadable:
        return None


def endpoint_of(engine: Engine) -> Endpoint:
    """Where it listens, with its key. Raises SecretUnreadable."""
    return Endpoint(engine.base_url, secrets.decrypt(engine.secret) if engine.secret else "", engine.kind)
