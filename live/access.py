"""Users of Redis for hosts: each reaches two lists of its own by the commands that its work needs, no more.

Redis forgets them when it starts again; whoever keeps the list of hosts admits them anew.
"""

from __future__ import annotations

import functools

from django.conf import settings
from redis import Redis

from live import redis as connections

SECONDS = 2.0
LEAD = "host-"
# Celery's transport waits for a list of each priority. An order that it took and could not begin returns to the first.
PRIORITIES = ("", "\x06\x163", "\x06\x166", "\x06\x169")


def _client() -> Redis:
    return _connected(settings.REDIS_URL)


@functools.cache
def _connected(url: str) -> Redis:
    return connections.blocking(url, seconds=SECONDS)


def user_of(host_name: str) -> str:
    return f"{LEAD}{host_name}"


def admit(host_name: str, digest: str, *, takes: str, posts: str) -> None:
    """Make or replace the user of a host; `digest` is the SHA-256 of its password. Raises RedisError.

    It takes orders from the list `takes` and tells into the list `posts`: no third key can ever be made by it.
    """
    _client().acl_setuser(
        user_of(host_name),
        enabled=True,
        reset=True,
        reset_channels=True,
        hashed_passwords=f"+{digest}",
        commands=["+ping", "+select"],
        selectors=[
            ("+brpop", " ".join(f"~{takes}{priority}" for priority in PRIORITIES)),
            ("+lpush", f"~{takes}"),
            ("+lpush +ltrim", f"~{posts}"),
        ],
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
        client.unlink(key)


def count_try(who: str, *, seconds: int) -> int:
    """How often somebody tried within so many seconds, this time included. Raises RedisError."""
    with _client().pipeline() as pipe:
        pipe.set(f"r1:tries:{who}", 0, ex=seconds, nx=True)
        pipe.incr(f"r1:tries:{who}")
        return int(pipe.execute()[1])


def _text(word: bytes | str) -> str:
    return word.decode() if isinstance(word, bytes) else word
