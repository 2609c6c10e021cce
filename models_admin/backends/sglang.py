"""SGLang: like vLLM on the wire, but it answers under any model's name and tells a full queue inside a 200."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, ClassVar

from models_admin.backends import serving
from models_admin.backends.base import ChatRequest, Endpoint, Health, Item
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts, LoadedModel, ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.reading import fields_of, integer, number, rows_of, text

_GB = 1024**3  # its figures in GB are GiB: 16384 tokens of 1 kiB are told as 0.016


class SGLang:
    capabilities: ClassVar = CAPABILITIES["sglang"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = EngineHttp(endpoint)
        self._served = serving.Served(self._http)

    def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        return serving.answer(self._http, self._served, request)

    async def health(self) -> Health:
        # /health makes a token each time and takes a second; /ready costs nothing, but older servers lack it.
        return await serving.health_of(self._http, "/ready", "/health")

    async def models(self) -> tuple[ServedModel, ...]:
        return await serving.served_models(self._http)

    async def facts(self) -> EngineFacts:
        served = await self.models()
        answer = await self._http.ask_fields("/v1/loads")
        ranks = rows_of(answer, "loads")
        return EngineFacts(
            slots=_total(ranks, "max_running_requests"),
            context_tokens=served[0].context_tokens if served else None,
            build=text(answer.get("version")),
            running=_total(ranks, "num_running_reqs"),
            waiting=_total(ranks, "num_waiting_reqs"),
        )

    async def inspect(self, model: str) -> ModelFacts:
        found = await serving.inspect_served(self._http, model)
        answer = await self._http.ask_fields("/model_info")
        thinks = bool(answer.get("reasoning_parser")) or None
        return ModelFacts(
            model,
            found.context_tokens,
            source=text(answer.get("model_path")) or found.source,
            thinks=thinks,
            uses_tools=bool(answer.get("tool_call_parser")),
        )

    async def loaded(self) -> tuple[LoadedModel, ...]:
        ranks = rows_of(await self._http.ask_fields("/v1/loads"), "loads")
        weights, kv = _bytes(ranks, "weight_gb"), _bytes(ranks, "kv_cache_gb")
        known = weights is not None and kv is not None
        memory = integer((weights or 0) + (kv or 0) + (_bytes(ranks, "graph_gb") or 0)) if known else None
        return tuple(
            LoadedModel(row.name, row.context_tokens, memory_bytes=memory, kv_bytes=kv) for row in await self.models()
        )

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return len(await serving.prompt_tokens(self._http, request))

    async def aclose(self) -> None:
        await self._http.aclose()


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words; None where this is no SGLang. It imitates Ollama's paths, so those prove nothing."""
    return "/v1/models says owned_by sglang" if await serving.owner_of(http) == "sglang" else None


def _total(ranks: list[dict[str, Any]], name: str) -> int | None:
    found = [value for rank in ranks if (value := integer(rank.get(name))) is not None]
    return integer(sum(found)) if found else None


def _bytes(ranks: list[dict[str, Any]], name: str) -> int | None:
    found = [value for rank in ranks if (value := number(fields_of(rank.get("memory")).get(name))) is not None]
    return integer(round(sum(found) * _GB)) if found else None
