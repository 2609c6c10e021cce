"""llama.cpp's own server: slots, context and counts are asked of it; thinking comes apart by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import Any

from models_admin.backends.base import (
    BackendError,
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
from models_admin.backends.openai_wire import chat_body, messages_body
from models_admin.backends.thought import ThoughtSplitter

# llama.cpp's own defaults (0.8, top_k 40) make R1 repeat itself; these are DeepSeek's.
_TEMPERATURE = 0.6
_TOP_P = 0.95
# Continued by the server as `<think>\n\n</think>\n\n`: a thought that is closed and empty.
_EMPTY_THOUGHT = {"role": "assistant", "reasoning_content": "\n\n", "content": "\n\n"}


class LlamaCpp:
    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # It closes the connection after a stream while announcing keep-alive: the next request would be lost.
        self._http = EngineHttp(endpoint, closes_streams=True)
        self._known: set[str] = set()
        self._context = 0

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        try:
            body = await self._body(request)
            async with aclosing(stream_answer(self._http, body, ThoughtSplitter(inside=False))) as items:
                async for item in items:
                    yield item
        except BackendError:
            self._known.clear()  # it may come back with another model or context
            raise

    async def health(self) -> Health:
        try:
            await self._http.ask_bytes("/health")
        except BackendError as error:
            return Health(False, error.code)
        return Health(True)

    async def models(self) -> tuple[ServedModel, ...]:
        rows = (await self._http.ask("/v1/models")).get("data", ())
        return tuple(ServedModel(row["id"], (row.get("meta") or {}).get("n_ctx")) for row in rows)

    async def slots(self) -> tuple[SlotState, ...]:
        rows = await self._http.ask("/slots")
        return tuple(SlotState(row["id"], row["is_processing"], row["n_ctx"]) for row in rows)

    async def facts(self) -> EngineFacts:
        props = await self._http.ask("/props")
        settings = props.get("default_generation_settings") or {}
        return EngineFacts(props.get("total_slots"), settings.get("n_ctx"), props.get("build_info") or "")

    async def count_prompt(self, request: ChatRequest) -> int | None:
        """Tokens of the prompt by the engine's own tokenizer and template."""
        answer = await self._http.ask(
            "/v1/chat/completions/input_tokens", {"messages": messages_body(request.messages)}
        )
        return answer.get("input_tokens")  # type: ignore[no-any-return]

    async def aclose(self) -> None:
        await self._http.aclose()

    async def _body(self, request: ChatRequest) -> dict[str, Any]:
        await self._learn(request.model)
        body = chat_body(request)
        body.setdefault("temperature", _TEMPERATURE)
        body.setdefault("top_p", _TOP_P)
        # Without a limit some builds went on to the end of the context after the client had left.
        body.setdefault("max_tokens", self._context)
        if request.think == "off":
            body["messages"] = [*body["messages"], _EMPTY_THOUGHT]
        return body

    async def _learn(self, name: str) -> None:
        """The context, and whether the model is there: this server answers under any name."""
        if name in self._known:
            return
        facts = await self.facts()
        self._context = facts.context_tokens or 4096
        for model in await self.models():
            self._known.update(names_of(model.name))
        if name not in self._known:
            raise ModelMissing(f"{name} is not among {sorted(self._known)}")


def names_of(listed: str) -> tuple[str, ...]:
    """The names by which a listed model may be asked for: llama.cpp without an alias lists the file's path."""
    return (listed, PurePosixPath(listed).stem) if listed.endswith(".gguf") else (listed,)
