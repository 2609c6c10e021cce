"""A board in Redis that one process writes and many read: small values by key, gone by themselves when nobody writes.

What stands there is a copy for reading, never the truth.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping

from django.conf import settings
from redis import Redis

from live import redis as connections

log = logging.getLogger(__name__)
SECONDS = 1.0


@functools.cache
def _client() -> Redis:
    return connections.blocking(settings.REDIS_URL, seconds=SECONDS)


def write(board: str, values: Mapping[str, bytes], *, gone: Collection[str] = (), keep_seconds: int) -> None:
    """Put and take away; the whole board stays for `keep_seconds` from now. A dead Redis is logged, never raised."""
    try:
        with _client().pipeline(transaction=False) as pipe:
            if gone:
                pipe.hdel(board, *gone)
            if values:
                pipe.hset(board, mapping=dict(values.items()))
            pipe.expire(board, keep_seconds)
            pipe.execute()
    except connections.RedisError as error:
        log.warning("board not written: %s", error)


def clear(board: str) -> None:
    try:
        _client().delete(board)
    except connections.RedisError as error:
        log.warning("board not cleared: %s", error)


def read(board: str, key: str) -> bytes | None:
    """None where nothing stands there, or Redis is away."""
    try:
        found = _client().hget(board, key)
    except connections.RedisError as error:
        log.warning("board not read: %s", error)
        return None
    return bytes(found) if found is not None else None  # type: ignore[arg-type]


def read_all(board: str) -> dict[str, bytes]:
    """Empty where Redis is away."""
    try:
        found = _client().hgetall(board)
    except connections.RedisError as error:
        log.warning("board not read: %s", error)
        return {}
    return {key.decode(): bytes(value) for key, value in found.items()}  # type: ignore[arg-type, union-attr]
