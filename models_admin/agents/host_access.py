"""How hosts reach the site's Redis: its address as they see it, and users there that match the rows."""

from __future__ import annotations

import ipaddress
from urllib.parse import quote, urlsplit

from django.conf import settings

from live import access
from models_admin.hosts import membership
from models_admin.models import Host

LOOPBACK_NAMES = {"localhost", "ip6-localhost"}


def redis_url(host_name: str, password: str, *, asked_as: str) -> str | None:
    """With which its agent connects; None where no other machine can reach the site's Redis.

    `asked_as` is the name under which the host asked for the site: it stands for a server that listens everywhere.
    """
    place = _bound(asked_as) or _by_url()
    if place is None:
        return None
    return f"{place[0]}://{access.user_of(host_name)}:{quote(password, safe='')}@{place[1]}"


def is_reachable() -> bool:
    """Whether another machine could reach the site's Redis at all."""
    return redis_url("any", "", asked_as="site") is not None


def _bound(asked_as: str) -> tuple[str, str] | None:
    """As `bin/up --redis-bind` has it."""
    if not settings.REDIS_ADDRESS:
        return None
    address, _, port = settings.REDIS_ADDRESS.rpartition(":")
    seen = f"[{asked_as}]" if ":" in asked_as else asked_as
    return "redis", f"{seen if _is_everywhere(address) else address}:{port}/0"


def _by_url() -> tuple[str, str] | None:
    """A Redis of the operator's own, unless it is one for this machine alone."""
    parts = urlsplit(settings.REDIS_URL)
    if parts.scheme not in {"redis", "rediss"} or not parts.hostname or is_loopback(parts.hostname):
        return None
    return parts.scheme, f"{parts.netloc.rpartition('@')[2]}{parts.path or '/0'}"


def leads_home(url: str) -> bool:
    """Whether a machine that follows this address finds itself."""
    return is_loopback(urlsplit(url).hostname or "")


def is_loopback(name: str) -> bool:
    """Whether every machine means itself by it."""
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name in LOOPBACK_NAMES


def _is_everywhere(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_unspecified
    except ValueError:
        return False


def admit(host: Host) -> None:
    """Make or replace its user of Redis. Raises RedisError."""
    name = host.name
    access.admit(name, host.broker_digest, takes=membership.queue_of(name), posts=membership.mailbox_of(name))


def expel(host_name: str) -> None:
    """Its user goes, its connections and its lists. Raises RedisError."""
    access.expel(host_name, membership.prefix_of(host_name))


class Upkeep:
    """Admits again whom Redis forgot, and expels who is no host any more. One for each runner."""

    def __init__(self) -> None:
        self._strangers: set[str] = set()
        self._is_first = True

    def look(self) -> None:
        """Raises RedisError."""
        admitted = access.admitted()
        joined = {host.name: host for host in Host.objects.exclude(broker_digest="")}
        # At the first look all: an older version may have given them other rights.
        for name in joined if self._is_first else joined.keys() - admitted:
            admit(joined[name])
        # Seen twice: one that joins at this moment has a user before its row can be read.
        strangers = admitted - joined.keys()
        for name in strangers & self._strangers:
            expel(name)
        self._strangers, self._is_first = strangers, False
