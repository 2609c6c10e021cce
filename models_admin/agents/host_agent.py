"""What every runner does for hosts: it is the agent of the site's own machine, and hears those that joined."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from live.redis import RedisError
from models_admin.agents import agent, host_words
from models_admin.agents.host_access import Upkeep
from models_admin.agents.inspection import Inspector
from models_admin.engines import fleet
from models_admin.hosts import engine_keys, hosts
from models_admin.hosts.inventory import Inventory
from models_admin.loads import warm_notes
from models_admin.orders.launch_orders import ServerWord

log = logging.getLogger(__name__)
UPKEEP_SECONDS = 5.0
# After what broke the keeping of servers off it is begun anew.
KEEPER_SECONDS = 10.0
InDatabase = Callable[..., Awaitable[Any]]


def loops(in_database: InDatabase) -> list[asyncio.Task[None]]:
    """For ever, beside the runner's own work."""

    async def report(seen: Inventory) -> None:
        await in_database(hosts.note_local, seen)

    endless = (
        agent.watch(Inspector(agent.models_folder()), report),
        keep_servers(in_database),
        host_words.listen(in_database),
        keep_access(in_database),
    )
    return [asyncio.create_task(each) for each in endless]


async def keep_servers(in_database: InDatabase) -> None:
    """The servers that the site's own machine launches; of several runners one keeps them."""

    async def report(words: list[ServerWord]) -> None:
        for word in words:
            await in_database(warm_notes.note_server, fleet.LOCAL_HOST, word)

    while True:
        try:
            secret = await in_database(lambda: engine_keys.secret_of(fleet.local_host()))
            await agent.keeper_of(secret).run(report)
        except Exception:  # the database or a disk is away
            log.exception("this machine's servers are not kept")
        await asyncio.sleep(KEEPER_SECONDS)


async def keep_access(in_database: InDatabase) -> None:
    """Redis knows the users of hosts again soon after it was started anew."""
    upkeep = Upkeep()
    while True:
        try:
            await in_database(upkeep.look)
        except RedisError as error:
            log.warning("users of hosts were not looked at: %s", error)
        except Exception:  # the database is away
            log.exception("users of hosts were not looked at")
        await asyncio.sleep(UPKEEP_SECONDS)
