"""The doorbell: a published hint that something changed. Losing one costs at most a poll; nothing is kept in it."""

from __future__ import annotations

import asyncio
import functools
import logging
import time
from collections.abc import Callable
from typing import TypeAlias

import msgspec
from django.conf import settings
from redis import Redis

from live import redis as connections

log = logging.getLogger(__name__)
RETRY_SECONDS = 0.5
RING_SECONDS = 1.0  # a hint is not worth more of a thread's time
Bell: TypeAlias = tuple[str, bytes]
USER = "r1:user"


@functools.cache
def _client() -> Redis:
    return connections.blocking(settings.REDIS_URL, seconds=RING_SECONDS)


class _Silence:
    """Until when nobody rings, because Redis did not answer the last time: threads must not queue up before it."""

    until = 0.0


def for_user(user_id: int, what: str) -> Bell:
    """For the pages of a person: look again at `what`."""
    return USER, msgspec.msgpack.encode([user_id, what])


def ring(*bells: Bell) -> None:
    """Publish from a thread, all in one round trip. A dead Redis is logged, never raised: every listener polls too."""
    if time.monotonic() < _Silence.until:
        return
    try:
        with _client().pipeline(transaction=False) as pipe:
            for channel, payload in bells:
                pipe.publish(channel, payload)
            pipe.execute()
    except connections.RedisError as error:
        _Silence.until = time.monotonic() + RING_SECONDS
        log.warning("doorbells not rung: %s", error)


async def listen(channels: list[str], heard: Callable[[str, bytes], None]) -> None:
    """Call `heard(channel, payload)` for each message, for ever; reconnects, and says so by an empty payload on ''."""
    while True:
        client = connections.reader(settings.REDIS_URL)
        try:
            subscription = client.pubsub()
            await subscription.subscribe(*channels)
            heard("", b"")
            async for message in subscription.listen():
                if message["type"] == "message":
                    heard(message["channel"].decode(), message["data"])
        except (connections.RedisError, OSError) as error:
            log.warning("doorbell lost: %s", error)
        finally:
            await client.aclose()
        await asyncio.sleep(RETRY_SECONDS)


def is_reachable() -> bool:
    """One round trip to Redis within its deadlines."""
    try:
        return bool(_client().ping())
    except connections.RedisError:
        return False
