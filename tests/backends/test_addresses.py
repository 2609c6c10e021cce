"""Where no engine may be: every way to write or to reach a cloud's metadata service."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from hypothesis import given
from hypothesis import strategies as st

from models_admin.backends.addresses import AddressForbidden, GuardedResolver, require_allowed
from models_admin.backends.base import BackendError, BadRequest, Endpoint
from models_admin.backends.drivers import DRIVERS, open_driver
from tests.raw_engine import raw_engine, response

FORBIDDEN = [
    "169.254.169.254",
    "169.254.170.2",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "169.254.43518",
    "169.16689662",
    "[::ffff:169.254.169.254]",
    "[::ffff:a9fe:a9fe]",
    "[64:ff9b::a9fe:a9fe]",
    "[fd00:ec2::254]",
    "[fe80::1%25lo]",
    "100.100.100.200",
    "1684301000",
    "192.0.0.192",
]


@pytest.mark.parametrize("host", FORBIDDEN)
@pytest.mark.parametrize("kind", DRIVERS)
async def test_an_engine_is_never_at_a_metadata_service(host: str, kind: str) -> None:
    with pytest.raises(BadRequest, match="no address for an engine"):
        async with open_driver(Endpoint(f"http://{host}/", "", kind)) as driver:
            await driver.models()


@pytest.mark.parametrize("host", ["0251.0376.0251.0376", "１６９.254.169.254", "169.254.169.254.", "①69.254.169.254"])
async def test_spellings_that_nothing_connects_to_are_refused_or_unknown(host: str) -> None:
    with pytest.raises(BackendError):
        async with open_driver(Endpoint(f"http://{host}:1/", "", "ollama")) as driver:
            await driver.models()


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "[::ffff:127.0.0.1]"])
async def test_other_spellings_of_an_engines_own_address_are_left_alone(host: str) -> None:
    async with raw_engine({"*": (response(b'{"models":[{"name":"m"}]}'),)}) as engine:
        port = engine.url.rpartition(":")[2]
        async with open_driver(Endpoint(f"http://{host}:{port}", "", "ollama")) as driver:
            assert [model.name for model in await driver.models()] == ["m"]


class Names(AbstractResolver):
    """A DNS that can be steered: each look at a name takes the next of its addresses."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)

    async def resolve(self, host: str, port: int = 0, family: Any = 0) -> list[ResolveResult]:
        return [
            ResolveResult(
                hostname=host,
                host=address,
                port=port,
                family=socket.AF_INET6 if ":" in address else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for address in self.answers.pop(0)
        ]

    async def close(self) -> None:
        pass


@pytest.mark.parametrize(
    "addresses",
    [
        ["169.254.169.254"],
        ["127.0.0.1", "169.254.169.254"],
        ["::ffff:169.254.169.254"],
        ["fd00:ec2::254"],
        ["fe80::1%lo"],
    ],
)
async def test_a_name_that_leads_to_a_metadata_service_is_refused(addresses: list[str]) -> None:
    with pytest.raises(AddressForbidden):
        await GuardedResolver(Names(addresses)).resolve("engine.example", 80)


async def test_a_name_is_looked_at_again_when_it_is_connected_to() -> None:
    """A name that was harmless when it was entered, and is not any more."""
    async with raw_engine({"*": (response(b"{}"),)}) as engine:
        port = engine.url.rpartition(":")[2]
        resolver = GuardedResolver(Names(["127.0.0.1"], ["169.254.169.254"]))
        connector = aiohttp.TCPConnector(resolver=resolver, use_dns_cache=False)
        async with aiohttp.ClientSession(connector=connector) as session:
            async with session.get(f"http://engine.example:{port}/") as told:
                assert told.status == 200
            with pytest.raises(aiohttp.ClientError):
                await session.get(f"http://engine.example:{port}/")
    assert len(engine.seen) == 1


@given(st.integers(0, 2**16 - 1), st.sampled_from(["dotted", "number", "hex", "octal", "mapped", "translated"]))
def test_no_spelling_of_a_link_local_address_is_allowed(low: int, how: str) -> None:
    number = 169 << 24 | 254 << 16 | low
    a, b, c, d = number.to_bytes(4, "big")
    host = {
        "dotted": f"{a}.{b}.{c}.{d}",
        "number": str(number),
        "hex": hex(number),
        "octal": f"0{a:o}.0{b:o}.{low}",
        "mapped": f"[::ffff:{a}.{b}.{c}.{d}]",
        "translated": f"64:ff9b::{number >> 16:x}:{low:x}",
    }[how]
    with pytest.raises(AddressForbidden):
        require_allowed(host)


@given(st.text(max_size=30))
def test_any_text_is_allowed_or_forbidden_without_an_accident(host: str) -> None:
    with suppress(AddressForbidden):
        require_allowed(host)


@given(
    st.sampled_from(["http://", "https://", "", "ftp://", "//"]), st.text(max_size=20), st.sampled_from(sorted(DRIVERS))
)
def test_no_address_that_somebody_types_brings_a_driver_down(scheme: str, rest: str, kind: str) -> None:
    async def ask() -> None:
        with suppress(BackendError):
            async with open_driver(Endpoint(scheme + rest, "", kind)) as driver:
                assert driver.endpoint.kind == kind

    asyncio.run(ask())
