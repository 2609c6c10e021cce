"""The agent of a host: looks at its machine, and keeps what the site tells it to. Knows no database itself.

On the site's machine a runner is the agent and the site writes what it sees; elsewhere it is a process of its own,
whose words go into the host's list.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path

from django.conf import settings

from models_admin.agents.agent_words import Letter, Reporter
from models_admin.agents.inspection import Inspector
from models_admin.hosts import engine_keys, queue
from models_admin.hosts.inventory import LOOK_SECONDS, Inventory
from models_admin.orders.launch_orders import LaunchOrder, ServerWord
from models_admin.orders.pull_orders import Told
from models_admin.servers import keeper
from models_admin.servers.keeper import Keeper

log = logging.getLogger(__name__)
Report = Callable[[Inventory], Awaitable[None]]


class NotTold(Exception):
    """The site could not be told; whoever tells says it again."""


class _Process:
    """Where this process's words go; None where the site writes them."""

    reporter: Reporter | None = None


def models_folder() -> Path:
    return Path(settings.MODELS_DIR)


def servers_folder() -> Path:
    """Where the host keeps what shall run and what does."""
    return models_folder() / ".servers"


def note_launch(order: LaunchOrder) -> None:
    keeper.note(servers_folder(), order)


def tell_pull(told: Told) -> bool:
    """False where it could not be sent."""
    return queue.report_pull(told) if _Process.reporter is None else _Process.reporter.pull(told)


def tell_through(reporter: Reporter) -> None:
    """From now on this process is an agent away from the site."""
    _Process.reporter = reporter


async def run(reporter: Reporter, *, secret: str) -> None:
    """What an agent away from the site does beside its tasks, for ever. Keys of servers derive from `secret`."""

    async def report(seen: Inventory) -> None:
        await asyncio.to_thread(reporter.tell, Letter(inventory=seen))

    async def report_servers(words: list[ServerWord]) -> None:
        for word in words:  # each on its own: the ends of many logs would be too long for one letter
            if not await asyncio.to_thread(reporter.tell, Letter(servers=[word])):
                raise NotTold

    async with asyncio.TaskGroup() as group:
        group.create_task(watch(Inspector(models_folder()), report))
        group.create_task(keeper_of(secret).run(report_servers))


def keeper_of(secret: str) -> Keeper:
    """Who keeps this host's servers; `secret` is the one that the host shares with the site."""
    return Keeper(servers_folder(), lambda deployment, _attempt: engine_keys.key_of(secret, deployment))


async def watch(inspector: Inspector, report: Report, *, seconds: float = LOOK_SECONDS) -> None:
    """Look and report for ever: a look or a word that fails is made up for by the next."""
    while True:
        try:
            await report(await inspector.read())
        except Exception:  # whatever a driver or the database does, a host that still runs is not to be called gone
            log.exception("the look at this machine was not noted")
        await asyncio.sleep(seconds)
