"""Where an engine may never be: the addresses at which clouds hand out the machine's own credentials."""

from __future__ import annotations

import ipaddress
from typing import Any

from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver

# Link-local, where metadata services of all large clouds listen, and those that have an address of their own
# (AWS over IPv6, Alibaba, Oracle's second one).
_FORBIDDEN = tuple(
    ipaddress.ip_network(net)
    for net in ("169.254.0.0/16", "fe80::/10", "fd00:ec2::254/128", "100.100.100.200/32", "192.0.0.192/32")
)


class AddressForbidden(OSError):
    """The name or address leads to a metadata service, or to something that only a cloud's own machine can reach."""


def require_allowed(host: str) -> None:
    """Raises AddressForbidden where `host` is such an address, also written as IPv4 in IPv6; names pass."""
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return
    address = getattr(address, "ipv4_mapped", None) or address
    if any(address in net for net in _FORBIDDEN if net.version == address.version):
        raise AddressForbidden(f"{host} is no address for an engine")


class GuardedResolver(AbstractResolver):
    """Looks names up and refuses those that lead to a forbidden address: checked on what is connected to."""

    def __init__(self) -> None:
        self._resolver = DefaultResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            require_allowed(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()
