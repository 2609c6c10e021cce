"""The doorbell: a published hint that something changed. Losing one costs at most a poll; nothing is kept in it."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Callable

from django.conf import settings
from redis import Redis

from live import redis as connections

log = logging.getLogger(__name__)
RETRY_SECONDS = 0.5


@functools.cache
def _client() -> Redis:
    return connections.blocking(settings.REDIS_URL)


def ring(channel: str, payload: bytes = b"") -> None:
    """Publish from a thread. A dead Redis is logged, never raised: every listener polls as well."""
    try:
        _client().publish(channel, payload)
    except connections.RedisError as error:
        log.warning("doorbell %s not rung: %s", channel, error)


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
