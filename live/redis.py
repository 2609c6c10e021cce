"""Connections to Redis. Blocking readers own a connection each; commands share a bounded pool.

redis-py's own asyncio pool raises beyond 100 connections, and a blocking read on a shared pool starves the rest.
"""

from __future__ import annotations

from redis import Redis as BlockingRedis
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry as BlockingRetry

CONNECT_SECONDS = 2.0
COMMAND_SECONDS = 5.0
POOL_SIZE = 32

__all__ = ["RedisError", "ResponseError", "blocking", "commands", "reader"]


def commands(url: str) -> Redis:
    """A client for short commands on one event loop: at most 32 connections, waiting 5 s for one."""
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=POOL_SIZE,
        timeout=COMMAND_SECONDS,
        socket_timeout=COMMAND_SECONDS,
        socket_connect_timeout=CONNECT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    return Redis(connection_pool=pool)


def reader(url: str) -> Redis:
    """A client with one connection of its own, for a subscription; reads have no deadline but a health check."""
    return Redis.from_url(
        url, max_connections=2, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=None, health_check_interval=10
    )


def blocking(url: str, seconds: float = COMMAND_SECONDS) -> BlockingRedis:
    """A client for threads outside an event loop; it tries each command once, for `seconds`."""
    connect = min(seconds, CONNECT_SECONDS)
    retry = BlockingRetry(NoBackoff(), 0)
    return BlockingRedis.from_url(url, socket_timeout=seconds, socket_connect_timeout=connect, retry=retry)
