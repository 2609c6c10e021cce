"""Where an engine may never be: the addresses at which clouds hand out the machine's own credentials."""

from __future__ import annotations

import ipaddress
import socket
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

_V4_IN_V6 = ipaddress.ip_network("64:ff9b::/96")  # a network's own translation, RFC 6052
# Link-local, where metadata services of all large clouds listen, and those that have an address of their own
# (AWS over IPv6, Alibaba, Oracle's second one).
_FORBIDDEN = tuple(
    ipaddress.ip_network(net)
    for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32")
)


class AddressForbidden(OSError):
    """The name or address leads to a metadata service, or to something that only a cloud's own machine can reach."""


def require_allowed(host: str) -> None:
    """Raises AddressForbidden where `host` is such an address, however it is written; names pass."""
    address = _address(host.strip("[]").partition("%")[0])
    if address is None:
        return
    if any(address in net for net in _FORBIDDEN if net.version == address.version):
        raise AddressForbidden(f"{host} is no address for an engine")


class GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address: checked on what is connected to."""

    def __init__(self, resolver: AbstractResolver | None = None) -> None:
        self._resolver = resolver or DefaultResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            require_allowed(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """What a written address stands for, an IPv4 in an IPv6 as IPv4; None for a name."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return _old_spelling(host)
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
