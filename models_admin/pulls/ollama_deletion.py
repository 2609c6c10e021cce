"""A runner's part of a deletion: Ollama is told, and its own list says whether the model is gone."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from models_admin.backends.base import BackendError, Endpoint, ModelMissing, Pulls
from models_admin.backends.drivers import open_driver
from models_admin.engines.secrets import SecretUnreadable
from models_admin.hosts import pull_plan
from models_admin.loads.probing import endpoint_of
from models_admin.models import StoredArtifact
from models_admin.pulls import deleting, deletion_words

log = logging.getLogger(__name__)
SECONDS = 60.0
InDatabase = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class _Wish:
    name: str
    endpoint: Endpoint


async def delete(stored_id: int, in_database: InDatabase) -> None:
    """Notes that it is gone, or why not. What is gone already is as it should be."""
    wish: _Wish | None = await in_database(_wish, stored_id)
    if wish is None:
        return
    try:
        async with asyncio.timeout(SECONDS):
            is_gone = await _delete(wish)
    except (BackendError, TimeoutError) as error:
        log.warning("files %s not deleted: %s: %s", stored_id, type(error).__name__, error)
        reason = error.code if isinstance(error, BackendError) else "engine_unreachable"
        await in_database(deleting.note_problem, stored_id, reason, str(error))
        return
    if is_gone:
        await in_database(deleting.note_gone, stored_id)
    else:
        await in_database(deleting.note_problem, stored_id, deletion_words.STILL_LISTED)


async def _delete(wish: _Wish) -> bool:
    async with open_driver(wish.endpoint) as driver:
        assert isinstance(driver, Pulls)
        with contextlib.suppress(ModelMissing):
            await driver.delete(wish.name)
        listed = {row.name for row in await driver.models()}
    return not listed & {wish.name, f"{wish.name}:latest"}


def _wish(stored_id: int) -> _Wish | None:
    """None where it is not wanted any more, or cannot be asked."""
    rows = StoredArtifact.objects.filter(pk=stored_id, state=StoredArtifact.State.DELETING)
    stored = rows.select_related("artifact", "host").first()
    engine = pull_plan.ollama_of(stored.host) if stored else None
    if stored is None or engine is None:
        return None
    try:
        return _Wish(stored.artifact.ref, endpoint_of(engine))
    except SecretUnreadable:
        deleting.note_problem(stored_id, "wrong_key")
        return None
