"""Which engines answer: asked every few seconds by whoever leads, kept as the state of their deployments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from models_admin import fleet, secrets
from models_admin.backends import open_driver
from models_admin.backends.base import BackendError, Endpoint, Health
from models_admin.models import Engine

PROBE_SECONDS = 3.0
# A busy engine may be slow: only two silences in a row, each of the driver's own deadline, count.
TRIES = 2


async def probe(in_database: Callable[..., Awaitable[Any]]) -> None:
    """Ask every engine at once and note what it said. `in_database` runs a function that uses the ORM."""
    endpoints: dict[int, Endpoint | None] = await in_database(_endpoints)
    found = await asyncio.gather(*map(health, endpoints.values()))
    for engine_id, told in zip(endpoints, found, strict=True):
        await in_database(fleet.note_health, engine_id, told)


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


def _endpoints() -> dict[int, Endpoint | None]:
    return {engine.pk: _endpoint(engine) for engine in Engine.objects.filter(deployments__isnull=False).distinct()}


def _endpoint(engine: Engine) -> Endpoint | None:
    """None where the stored key cannot be read: such an engine cannot be asked for an answer either."""
    try:
        return Endpoint(engine.base_url, secrets.decrypt(engine.secret) if engine.secret else "", engine.kind)
    except secrets.SecretUnreadable:
        return None
