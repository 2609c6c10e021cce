"""The drivers by the kind of engine; `open_driver` picks one for an endpoint. Loading this loads them all."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from models_admin.backends.base import BadRequest, Driver, Endpoint
from models_admin.backends.deepseek import DeepSeek
from models_admin.backends.llama_cpp import LlamaCpp
from models_admin.backends.ollama import Ollama
from models_admin.backends.openai_compatible import OpenAICompatible
from models_admin.backends.sglang import SGLang
from models_admin.backends.vllm import VLLM

DRIVERS: dict[str, type[Driver]] = {
    "ollama": Ollama,
    "vllm": VLLM,
    "sglang": SGLang,
    "llama.cpp": LlamaCpp,
    "deepseek": DeepSeek,
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
