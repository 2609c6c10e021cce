"""Any engine that speaks OpenAI's chat wire: vLLM, SGLang, Ollama's `/v1`, LM Studio, a cloud."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from models_admin.backends.base import (
    BackendError,
    BadRequest,
    ChatRequest,
    Delta,
    Endpoint,
    EngineFacts,
    Finish,
    Health,
    ModelMissing,
    ServedModel,
    SlotState,
)
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_chat import stream_answer
from models_admin.backends.openai_wire import chat_body
from models_admin.backends.thought import ThoughtSplitter, begins_in_thought


class OpenAICompatible:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = EngineHttp(endpoint)
        self._known: set[str] = set()
        self._plain: set[str] = set()  # models that were guessed to think in the text, and did not

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        await self._require_model(request.model)
        splitter = ThoughtSplitter(inside=self._begins_inside(request))
        try:
            async with aclosing(stream_answer(self._http, self._body(request), splitter)) as items:
                async for item in items:
                    if isinstance(item, Finish) and item.reason == "stop" and splitter.never_closed:
                        self._plain.add(request.model)
                    yield item
        except BackendError:
            self._known.clear()  # it may come back with other models
            raise

    async def health(self) -> Health:
        try:
            await self._http.ask_bytes("/health")
        except BadRequest:  # not every engine has the path
            return await self._health_by_models()
        except BackendError as error:
            return Health(False, error.code)
        return Health(True)

    async def models(self) -> tuple[ServedModel, ...]:
        body = await self._http.ask("/v1/models")
        rows = body.get("data") if isinstance(body, dict) else None
        return tuple(
            ServedModel(row["id"], row.get("max_model_len"))
            for row in rows or ()
            if isinstance(row, dict) and isinstance(row.get("id"), str)
        )

    async def slots(self) -> tuple[SlotState, ...]:
        return ()

    async def facts(self) -> EngineFacts:
        served = await self.models()
        return EngineFacts(context_tokens=served[0].context_tokens if len(served) == 1 else None)

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return None

    async def aclose(self) -> None:
        await self._http.aclose()

    def _body(self, request: ChatRequest) -> dict[str, object]:
        body = chat_body(request)
        if request.think != "auto":
            # The switch of Qwen3 and DeepSeek V3.1 templates; others pass over it.
            on = request.think == "on"
            body["chat_template_kwargs"] = {"thinking": on, "enable_thinking": on}
        return body

    def _begins_inside(self, request: ChatRequest) -> bool:
        if request.think == "off" or request.model in self._plain:
            return False
        return request.think == "on" or begins_in_thought(request.model)

    async def _require_model(self, name: str) -> None:
        # SGLang answers under any name: the driver has to compare itself.
        if name in self._known:
            return
        try:
            served = await self.models()
        except BadRequest:  # no such list here: the engine's own answer decides
            return
        self._known = {model.name for model in served}
        if self._known and name not in self._known:
            raise ModelMissing(f"{name} is not among {sorted(self._known)}")

    async def _health_by_models(self) -> Health:
        try:
            await self.models()
        except BackendError as error:
            return Health(False, error.code)
        return Health(True)
