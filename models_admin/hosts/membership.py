"""What a site tells a machine that joins it as a host: all that its agent ever needs. No Django here.

Kept in <data>/host.json for its owner alone: it holds a password and a secret.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

FILE = "host.json"


class Membership(msgspec.Struct, frozen=True):
    """`redis_url` names a user that reaches keys under `prefix` only; keys of launched engines derive from `secret`.

    `address` is where engines of this host are reached from the site. `site` is the URL that was joined.
    """

    name: str
    queue: str
    redis_url: str
    prefix: str
    secret: str
    address: str
    site: str = ""


def prefix_of(host_name: str) -> str:
    """Under which all keys of a host lie; a name never holds a colon."""
    return f"r1:host:{host_name}:"


def queue_of(host_name: str) -> str:
    """The key of the list from which a host takes its orders."""
    return f"{prefix_of(host_name)}host.{host_name}"


def mailbox_of(host_name: str) -> str:
    """The key of the list into which a host posts what it tells."""
    return f"{prefix_of(host_name)}told"


def decode(told: bytes) -> Membership:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(told, type=Membership)


def read(data: Path) -> Membership | None:
    """None where this machine joined no site. Raises OSError and msgspec.MsgspecError."""
    try:
        return decode((data / FILE).read_bytes())
    except FileNotFoundError:
        return None
