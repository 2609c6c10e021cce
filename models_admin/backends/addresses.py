"""Where an engine may never be, and where a download may not lead.

An engine may be anywhere but at the addresses at which clouds hand out the machine's own credentials. A hub of models
is where it was typed or set; its redirects lead to public servers over TLS, never into the own network. Both are
checked as they are written and as their names resolve when the connection is made.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Set
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

PORTS = {"http": 80, "https": 443}
_V4_IN_V6 = ipaddress.ip_network("64:ff9b::/96")  # a network's own translation, RFC 6052
# Link-local, where metadata services of all large clouds listen, and those that have an address of their own
# (AWS over IPv6, Alibaba, Oracle's second one).
_FORBIDDEN = tuple(
    ipaddress.ip_network(net)
    for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32")
)


class AddressForbidden(OSError):
    """The name or address leads to a metadata service, or a redirect to what only this machine can reach."""


def require_allowed(host: str) -> None:
    """Raises AddressForbidden where `host` is a metadata service, however it is written; names pass."""
    address = _address(host)
    if address is None:
        return
    if any(address in net for net in _FORBIDDEN if net.version == address.version):
        raise AddressForbidden(f"{host} is no address for an engine")


def require_public(host: str) -> None:
    """Raises AddressForbidden where `host` is an address of this machine or its network; names pass."""
    address = _address(host)
    if address is not None and (not address.is_global or address.is_multicast):
        raise AddressForbidden(f"{host} is no public address")


def require_first(url: str) -> None:
    """Raises AddressForbidden for a typed address that is none, carries a password or is a metadata service."""
    require_allowed(_split(url).hostname or "")


def require_hop(url: str, *, trusted: Set[str]) -> None:
    """Raises AddressForbidden for a redirect that leads neither to a trusted place nor to a public one over TLS."""
    parts = _split(url)
    host = parts.hostname or ""
    require_allowed(host)
    if place_of(url) in trusted:
        return
    if parts.scheme != "https" or place_of(url) != f"{host}:443":
        raise AddressForbidden(f"{place_of(url)} is no server over TLS")
    require_public(host)


def place_of(url: str) -> str:
    """`host:port` of an address. Raises AddressForbidden where it has none."""
    parts = _split(url)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


def forbidden_behind(error: BaseException | None) -> AddressForbidden | None:
    """The refusal inside what aiohttp and httpx made of it."""
    while error is not None and not isinstance(error, AddressForbidden):
        error = error.__cause__ or getattr(error, "os_error", None) or error.__context__
    return error


class GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address: checked on what is connected to."""

    def __init__(self, resolver: AbstractResolver | None = None, *, may_be_private: bool = True) -> None:
        self._resolver = resolver or DefaultResolver()
        self._may_be_private = may_be_private

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            require_allowed(each["host"])
            if not self._may_be_private:
                require_public(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise AddressForbidden(f"{url!r} is no address") from None
    if not is_sound or parts.username or parts.password or any(c.isspace() for c in url):
        raise AddressForbidden(f"{url!r} is no address to load from")
    return parts


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What a written address stands for, an IPv4 in an IPv6 as IPv4; None for a name."""
    plain = host.strip("[]").partition("%")[0]
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return _old_spelling(plain)
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _V4_IN_V6:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address


def _old_spelling(host: str) -> ipaddress.IPv4Address | None:
    """One number, or octal and hexadecimal ones: connecting reads them, and aiohttp resolves nothing of digits."""
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None
