"""Users of Redis for hosts: each reaches the keys under its own prefix by the commands that its work needs, no more.

Redis forgets them when it starts again; whoever keeps the list of hosts admits them anew.
"""

from __future__ import annotations

import functools

from django.conf import settings
from redis import Redis

from live import redis as connections

SECONDS = 2.0
LEAD = "host-"
# What Celery's transport needs to take orders without acknowledgements, and a mailbox to be posted into.
COMMANDS = (
    "ping", "select", "brpop", "rpop", "lpush", "llen", "ltrim", "sadd", "srem", "smembers", "multi", "exec", "discard",
)  # fmt: skip


def _client() -> Redis:
    return _connected(settings.REDIS_URL)


@functools.cache
def _connected(url: str) -> Redis:
    return connections.blocking(url, seconds=SECONDS)


def user_of(host_name: str) -> str:
    return f"{LEAD}{host_name}"


def admit(host_name: str, digest: str, prefix: str) -> None:
    """Make or replace the user of a host; `digest` is the SHA-256 of its password. Raises RedisError."""
    _client().acl_setuser(
        user_of(host_name),
        enabled=True,
        reset=True,
        reset_channels=True,
        hashed_passwords=f"+{digest}",
        keys=[f"{prefix}*"],
        commands=[f"+{name}" for name in COMMANDS],
    )


def admitted() -> set[str]:
    """Names of the hosts that have a user. Raises RedisError."""
    users = (_text(name) for name in _client().acl_users())
    return {name.removeprefix(LEAD) for name in users if name.startswith(LEAD)}


def expel(host_name: str, prefix: str) -> None:
    """Take its user away, which cuts its connections, and its keys. Raises RedisError."""
    client = _client()
    client.acl_deluser(user_of(host_name))
    for key in client.scan_iter(match=f"{prefix}*", count=1000):
        client.delete(key)


def count_try(who: str, *, seconds: int) -> int:
    """How often somebody tried within so many seconds, this time included. Raises RedisError."""
    with _client().pipeline() as pipe:
        pipe.set(f"r1:tries:{who}", 0, ex=seconds, nx=True)
        pipe.incr(f"r1:tries:{who}")
        return int(pipe.execute()[1])


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else word
