"""Where a download may lead: the address that was typed, then public servers over TLS, never into the own network.

Hugging Face and its mirrors answer a file with a redirect to a delivery network, so redirects are followed, by hand,
and each is checked twice: as it is written, and as its name resolves when the connection is made.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Set
from typing import Any
from urllib.parse import SplitResult, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import DefaultResolver
from httpx_aiohttp import AiohttpTransport

from models_admin.backends.addresses import AddressForbidden, require_allowed

CONNECT_SECONDS = 10.0
PORTS = {"http": 80, "https": 443}


class _Resolver(AbstractResolver):
    """Refuses names that lead to a metadata service, and to a private address unless `may_be_private`."""

    def __init__(self, *, may_be_private: bool) -> None:
        self._may_be_private = may_be_private
        self._resolver = DefaultResolver()

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            require_allowed(each["host"])
            if not self._may_be_private:
                _require_public(each["host"])
        return found

    async def close(self) -> None:
        await self._resolver.close()


def place_of(url: str) -> str:
    """`host:port` of an address. Raises AddressForbidden where it has none."""
    parts = _split(url)
    return f"{parts.hostname}:{parts.port or PORTS[parts.scheme]}"


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
    _require_public(host)


def client_for(url: str, *, trusted: Set[str]) -> httpx.AsyncClient:
    """A client for one request. Behind a company's proxy, which the environment names, that one resolves names."""
    parts = _split(url)
    proxy = None if proxy_bypass(parts.hostname or "") else getproxies().get(parts.scheme)
    timeout = httpx.Timeout(None, connect=CONNECT_SECONDS)
    if proxy:
        return httpx.AsyncClient(proxy=proxy, trust_env=False, timeout=timeout)
    may_be_private = place_of(url) in trusted

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(resolver=_Resolver(may_be_private=may_be_private))
        return aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), connector=connector)

    transport = AiohttpTransport(client=session, trust_env=False)
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout)


def forbidden_behind(error: BaseException | None) -> AddressForbidden | None:
    """The refusal inside what aiohttp and httpx made of it."""
    while error is not None and not isinstance(error, AddressForbidden):
        error = error.__cause__ or error.__context__
    return error


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_sound = parts.scheme in PORTS and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise AddressForbidden(f"{url!r} is no address") from None
    if not is_sound or parts.username or parts.password or any(c.isspace() for c in url):
        raise AddressForbidden(f"{url!r} is no address to load from")
    return parts


def _require_public(host: str) -> None:
    try:
        address = ipaddress.ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return  # a name: checked when it resolves
    address = getattr(address, "ipv4_mapped", None) or address
    if not address.is_global or address.is_multicast:
        raise AddressForbidden(f"{host} is no public address")
