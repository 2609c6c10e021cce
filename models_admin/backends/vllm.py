"""vLLM: many answers at once, its own tokenizer on the wire, prompts as token numbers."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator
from typing import ClassVar

from models_admin.backends import serving
from models_admin.backends.base import ChatRequest, Endpoint, Health, Item
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts, LoadedModel, ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.reading import integer, text

_GAUGE = r"^vllm:{}(?:\{{[^}}\n]*\}})? (\S+)$"  # within a line, or a missing brace costs the square of the text
_KV_BYTES = re.compile(r'kv_cache_memory_bytes="(\d{1,18})"')


class VLLM:
    capabilities: ClassVar = CAPABILITIES["vllm"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = EngineHttp(endpoint)
        self._served = serving.Served(self._http)

    def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        return serving.answer(self._http, self._served, request)

    async def health(self) -> Health:
        return await serving.health_of(self._http, "/health")

    async def models(self) -> tuple[ServedModel, ...]:
        return await serving.served_models(self._http)

    async def facts(self) -> EngineFacts:
        served = await self.models()
        version = text((await self._http.ask_fields("/version")).get("version"))
        metrics = (await self._http.ask_bytes("/metrics")).decode("utf-8", "replace")
        return EngineFacts(
            context_tokens=served[0].context_tokens if served else None,
            build=version,
            running=_gauge(metrics, "num_requests_running"),
            waiting=_gauge(metrics, "num_requests_waiting"),
        )

    async def inspect(self, model: str) -> ModelFacts:
        return await serving.inspect_served(self._http, model)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """It tells the size of its KV cache, not that of the weights."""
        told = _KV_BYTES.search((await self._http.ask_bytes("/metrics")).decode("utf-8", "replace"))
        kv_bytes = int(told[1]) if told else None
        return tuple(LoadedModel(row.name, row.context_tokens, kv_bytes=kv_bytes) for row in await self.models())

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return len(await serving.prompt_tokens(self._http, request))

    async def aclose(self) -> None:
        await self._http.aclose()


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words; None where this is no vLLM."""
    return "/v1/models says owned_by vllm" if await serving.owner_of(http) == "vllm" else None


def _gauge(metrics: str, name: str) -> int | None:
    """The sum over engines of a gauge in Prometheus' text format."""
    found = re.findall(_GAUGE.format(name), metrics, re.MULTILINE)
    try:
        return integer(int(sum(float(value) for value in found))) if found else None
    except (ValueError, OverflowError):
        return None
