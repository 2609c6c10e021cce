"""A list for each host into which it posts what it has to tell: bounded, oldest first out, and nothing is kept in it.

A word that is lost is made up for by a later one: whoever posts repeats how things are, not what changed.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from redis import Redis as BlockingRedis
from redis.asyncio import Redis

from live import redis as connections

log = logging.getLogger(__name__)
# A quarter of an hour of a host that pulls; what is older is left out first.
MOST_LETTERS = 1_000
MOST_BYTES = 256 * 1024
POST_SECONDS = 2.0
# Of all that lies in a host's lists. A thousand letters of the largest size that agents write are half of it.
MOST_KEPT_BYTES = 64 * 1024 * 1024


class Mailbox:
    """A host's own end, for threads."""

    def __init__(self, url: str, key: str) -> None:
        self._client: BlockingRedis = connections.blocking(url, seconds=POST_SECONDS)
        self._key = key

    def post(self, letter: bytes) -> bool:
        """False where Redis is away or takes nothing, or the letter is longer than 256 kB."""
        if len(letter) > MOST_BYTES:
            log.warning("a word of %d bytes is too long to be told", len(letter))
            return False
        try:
            with self._client.pipeline(transaction=False) as pipe:
                pipe.lpush(self._key, letter)
                pipe.ltrim(self._key, 0, MOST_LETTERS - 1)
                pipe.execute()
        except (connections.RedisError, OSError) as error:
            log.warning("not told: %s", error)
            return False
        return True


async def weigh(client: Redis, keys: Iterable[str]) -> dict[str, int]:
    """Bytes of memory that each list takes in Redis, however it is filled. Raises RedisError."""
    names = list(keys)
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.memory_usage(name, samples=0)
        answers = await pipe.execute()
    return {name: size or 0 for name, size in zip(names, answers, strict=True)}


async def read(client: Redis, keys: Iterable[str], *, most: int = 100) -> dict[str, list[bytes]]:
    """Take up to `most` letters out of each list; each goes to one reader only. Raises RedisError.

    What is longer than 256 kB is thrown away, and a list that grew over its bound is cut: a host is not trusted
    to keep to either.
    """
    names = list(keys)
    async with client.pipeline(transaction=False) as pipe:
        for name in names:
            pipe.ltrim(name, 0, MOST_LETTERS - 1)
            pipe.rpop(name, most)
        answers = await pipe.execute(raise_on_error=False)
    # A host may put anything else under its own key: that is its own loss, and nobody else's letters.
    found = [(name, each) for name, each in zip(names, answers[1::2], strict=True) if isinstance(each, list)]
    return {name: [each for each in letters if len(each) <= MOST_BYTES] for name, letters in found if letters}
