"""Any engine that speaks OpenAI's chat wire and is none of the known ones: LM Studio, a gateway, a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any, ClassVar

from models_admin.backends import serving
from models_admin.backends.answer import Answer
from models_admin.backends.base import BackendError, BadRequest, ChatRequest, Endpoint, Finish, Health, Item
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts, LoadedModel, ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import chat_body
from models_admin.backends.streaming import CHAT_PATH, EventReader, stream_answer
from models_admin.backends.thought import ThoughtSplitter, begins_in_thought


class OpenAICompatible:
    capabilities: ClassVar = CAPABILITIES["openai-compatible"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # Some servers close behind a stream while announcing keep-alive: the next request would be lost.
        self._http = EngineHttp(endpoint, closes_streams=True)
        self._served = serving.Served(self._http)
        self._plain: set[str] = set()  # models that were guessed to think in the text, and did not

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        splitter = ThoughtSplitter(inside=self._begins_inside(request))
        try:
            await self._served.require(request.model)
            stream = stream_answer(self._http, CHAT_PATH, _body(request), EventReader(Answer(splitter)))
            async with aclosing(stream) as items:
                async for item in items:
                    if isinstance(item, Finish) and item.reason == "stop" and splitter.never_closed:
                        self._plain.add(request.model)
                    yield item
        except BackendError:
            self._served.forget()
            raise

    async def health(self) -> Health:
        return await serving.health_of(self._http, "/health", serving.MODELS_PATH)

    async def models(self) -> tuple[ServedModel, ...]:
        return await serving.served_models(self._http)

    async def facts(self) -> EngineFacts:
        served = await self.models()
        return EngineFacts(context_tokens=served[0].context_tokens if len(served) == 1 else None)

    async def inspect(self, model: str) -> ModelFacts:
        return await serving.inspect_served(self._http, model)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return ()

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return None

    async def aclose(self) -> None:
        await self._http.aclose()

    def _begins_inside(self, request: ChatRequest) -> bool:
        if request.think == "off" or request.model in self._plain:
            return False
        return request.think == "on" or begins_in_thought(request.model)


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words: a list of models in OpenAI's form."""
    served = await serving.served_models(http)
    return f"/v1/models lists {len(served)} models" if served else None


def _body(request: ChatRequest) -> dict[str, Any]:
    if request.prefix is not None:
        raise BadRequest("an unknown engine cannot be told to go on")
    body = chat_body(request)
    if request.think != "auto":
        # The switch of Qwen3 and DeepSeek V3.1 templates; others pass over it.
        on = request.think == "on"
        body["chat_template_kwargs"] = {"thinking": on, "enable_thinking": on}
    return body
