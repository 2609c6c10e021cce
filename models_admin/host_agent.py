"""The agent of a host: looks at the machine every 10 s and hands on what it saw. Knows no database itself."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from django.conf import settings

from models_admin import hosts
from models_admin.inspection import Inspector
from models_admin.inventory import Inventory

log = logging.getLogger(__name__)
Report = Callable[[Inventory], Awaitable[None]]
InDatabase = Callable[..., Awaitable[Any]]


def loops(in_database: InDatabase) -> list[asyncio.Task[None]]:
    """For a runner, which is its own machine's agent: here the site writes what it reports."""

    async def report(seen: Inventory) -> None:
        await in_database(hosts.note_local, seen)

    return [asyncio.create_task(watch(Inspector(models_folder()), report))]


def models_folder() -> Path:
    return Path(settings.MODELS_DIR)


async def watch(inspector: Inspector, report: Report, *, seconds: float = hosts.LOOK_SECONDS) -> None:
    """Look and report for ever: a look or a word that fails is made up for by the next."""
    while True:
        try:
            await report(await inspector.read())
        except Exception:  # whatever a driver or the database does, a host that still runs is not to be called gone
            log.exception("the look at this machine was not noted")
        await asyncio.sleep(seconds)
