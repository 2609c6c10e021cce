"""Clients of engines. `open_driver` picks the one for an endpoint's kind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from models_admin.backends.base import BadRequest, Driver, Endpoint
from models_admin.backends.llama_cpp import LlamaCpp
from models_admin.backends.openai_compatible import OpenAICompatible

DRIVERS: dict[str, Callable[[Endpoint], Driver]] = {
    "llama.cpp": LlamaCpp,
    "openai-compatible": OpenAICompatible,
}


def make_driver(endpoint: Endpoint) -> Driver:
    """A driver to be kept for as long as its event loop runs; close it with `aclose()`."""
    if endpoint.kind not in DRIVERS:
        raise BadRequest(f"no driver for engines of kind {endpoint.kind!r}")
    return DRIVERS[endpoint.kind](endpoint)


@asynccontextmanager
async def open_driver(endpoint: Endpoint) -> AsyncIterator[Driver]:
    """A driver for the length of a block. Call inside the event loop that will use it."""
    driver = make_driver(endpoint)
    try:
        yield driver
    finally:
        await driver.aclose()
