"""What hosts that joined tell, written down: each may speak of itself alone, whatever its words claim.

Reads their lists twice a second, beside the runner's other work; each word is taken by one runner only.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from django.conf import settings

from live import mailbox
from live.redis import commands
from models_admin.agents import cutting_off
from models_admin.agents.agent_words import Letter
from models_admin.hosts import hosts, membership
from models_admin.loads import warm_notes
from models_admin.models import Host, PullJob
from models_admin.orders.pull_orders import Told
from models_admin.pulls import deleting, pulling

log = logging.getLogger(__name__)
READ_SECONDS = 0.5
# A new host is read from this much later; its list holds far more.
NAMES_SECONDS = 3.0
InDatabase = Callable[..., Awaitable[Any]]


async def listen(in_database: InDatabase) -> None:
    """Read and write down for ever."""
    client, turn, names = commands(settings.REDIS_URL), 0, list[str]()
    while True:
        try:
            if turn % round(NAMES_SECONDS / READ_SECONDS) == 0:
                names = await in_database(joined)
            await _read(client, names, in_database)
        except Exception:  # Redis or the database is away: what hosts told waits in their lists
            log.exception("hosts were not heard")
        turn += 1
        await asyncio.sleep(READ_SECONDS)


def joined() -> list[str]:
    """Names of the hosts that have an agent with a list of its own."""
    return list(Host.objects.exclude(broker_digest="").values_list("name", flat=True))


async def _read(client: Any, names: list[str], in_database: InDatabase) -> None:
    if not names:
        return
    heavy = await _heavy(client, names)
    for name, size in heavy.items():
        await in_database(cutting_off.cut_off, name, size)
    host_of = {membership.mailbox_of(name): name for name in names if name not in heavy}
    for key, letters in (await mailbox.read(client, host_of)).items():
        for letter in letters:
            await in_database(note, host_of[key], letter)


async def _heavy(client: Any, names: list[str]) -> dict[str, int]:
    """Bytes of those hosts' lists that hold more than any agent leaves there, whoever filled them."""
    lists = {name: (membership.queue_of(name), membership.mailbox_of(name)) for name in names}
    sizes = await mailbox.weigh(client, [key for keys in lists.values() for key in keys])
    found = {name: sum(sizes[key] for key in keys) for name, keys in lists.items()}
    return {name: size for name, size in found.items() if size > mailbox.MOST_KEPT_BYTES}


def note(host_name: str, told: bytes) -> None:
    """Write down one letter of this host. What is no letter, or of another host, is logged and dropped."""
    try:
        letter = msgspec.json.decode(told, type=Letter)
    except msgspec.MsgspecError as error:
        log.warning("%s told what is no word: %s", host_name, error)
        return
    try:
        _note(host_name, letter)
    except Exception:  # one host's strange word must not keep the others from being heard
        log.exception("a word of %s was not noted", host_name)


def _note(host_name: str, letter: Letter) -> None:
    if letter.inventory is not None:
        hosts.note(host_name, letter.inventory)
    if letter.pull is not None:
        _note_pull(host_name, letter.pull)
    if letter.has_left:
        hosts.note_left(host_name)
    for word in letter.servers:
        warm_notes.note_server(host_name, word)


def _note_pull(host_name: str, told: Told) -> None:
    if not PullJob.objects.filter(pk=told.job, stored__host__name=host_name).exists():
        log.warning("%s told of pull %d, which is none of its own", host_name, told.job)
        return
    if told.step is not None:
        pulling.note_step(told.job, told.attempt, told.step)
    if told.end is not None:
        pulling.note_end(told.job, told.attempt, told.end)
    if told.discarded is not None:
        deleting.note_host(told.job, told.discarded.reason, told.discarded.detail)
