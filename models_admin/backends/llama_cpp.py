"""llama.cpp's own server: slots, context and counts are asked of it; thinking comes apart by itself."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import PurePosixPath
from typing import Any, ClassVar

from models_admin.backends.answer import Answer
from models_admin.backends.base import (
    BackendError,
    ChatRequest,
    Endpoint,
    Health,
    Item,
    ModelMissing,
    Prefix,
)
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts, LoadedModel, ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import chat_body, completion_body, messages_body
from models_admin.backends.reading import integer, rows_of, text
from models_admin.backends.streaming import CHAT_PATH, COMPLETION_PATH, EventReader, stream_answer
from models_admin.backends.thought import ThoughtSplitter, opens_thought, tail_of

# llama.cpp's own defaults (0.8, top_k 40) make R1 repeat itself; these are DeepSeek's.
_TEMPERATURE = 0.6
_TOP_P = 0.95
# Continued by the server as `<think>\n\n</think>\n\n`: a thought that is closed and empty.
_EMPTY_THOUGHT = {"role": "assistant", "reasoning_content": "\n\n", "content": "\n\n"}


class LlamaCpp:
    capabilities: ClassVar = CAPABILITIES["llama.cpp"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        # It closes the connection after a stream while announcing keep-alive: the next request would be lost.
        self._http = EngineHttp(endpoint, closes_streams=True)
        self._known: set[str] = set()
        self._context = 0

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        try:
            await self._learn(request.model)
            items = self._chat(request) if request.prefix is None else self._go_on(request, request.prefix)
            async with aclosing(items):
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
        rows = rows_of(await self._http.ask_fields("/v1/models"), "data")
        return tuple(
            ServedModel(text(row.get("id")), integer(_meta(row).get("n_ctx")), bytes=integer(_meta(row).get("size")))
            for row in rows
            if text(row.get("id"))
        )

    async def facts(self) -> EngineFacts:
        props = await self._http.ask_fields("/props")
        settings = props.get("default_generation_settings")
        context = integer(settings.get("n_ctx")) if isinstance(settings, dict) else None
        slots = integer(props.get("total_slots"))
        busy = await self._busy_slots()
        return EngineFacts(slots, context, text(props.get("build_info")), running=busy)

    async def inspect(self, model: str) -> ModelFacts:
        rows = rows_of(await self._http.ask_fields("/v1/models"), "data")
        row = next((row for row in rows if model in names_of(text(row.get("id")))), None)
        if row is None:
            raise ModelMissing(f"{model} is not served")
        props = await self._http.ask_fields("/props")
        template = text(props.get("chat_template"))
        return ModelFacts(
            model,
            integer(_meta(row).get("n_ctx_train")),
            integer(_meta(row).get("n_params")),
            text(_meta(row).get("ftype")),
            source=PurePosixPath(text(props.get("model_path"))).name,
            thinks="<think>" in template if template else None,
            # Where the template knows no tools, the server writes a prompt of its own for them.
            uses_tools=True if "tool" in template else None,
        )

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return tuple(LoadedModel(row.name, row.context_tokens) for row in await self.models())

    async def count_prompt(self, request: ChatRequest) -> int | None:
        """Tokens of the prompt by the engine's own tokenizer and template."""
        body = {"messages": messages_body(request.messages)}
        return integer((await self._http.ask_fields("/v1/chat/completions/input_tokens", body)).get("input_tokens"))

    async def aclose(self) -> None:
        await self._http.aclose()

    def _chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        body = self._with_defaults(chat_body(request))
        if request.think == "off":
            body["messages"] = [*body["messages"], _EMPTY_THOUGHT]
        reader = EventReader(Answer(ThoughtSplitter(inside=False)))
        return stream_answer(self._http, CHAT_PATH, body, reader)

    async def _go_on(self, request: ChatRequest, prefix: Prefix) -> AsyncGenerator[Item, None]:
        """The engine's own template makes the prompt; what was written already is put behind it."""
        body = {"messages": messages_body(request.messages)}
        prompt = text((await self._http.ask_fields("/apply-template", body)).get("prompt"))
        tail = tail_of(prefix, is_open=opens_thought(prompt))
        reader = EventReader(Answer(ThoughtSplitter(inside=prefix.answer is None), behind=prefix))
        raw = self._with_defaults(completion_body(request, prompt + tail))
        async with aclosing(stream_answer(self._http, COMPLETION_PATH, raw, reader)) as items:
            async for item in items:
                yield item

    def _with_defaults(self, body: dict[str, Any]) -> dict[str, Any]:
        body.setdefault("temperature", _TEMPERATURE)
        body.setdefault("top_p", _TOP_P)
        # Without a limit some builds went on to the end of the context after the client had left.
        body.setdefault("max_tokens", self._context)
        return body

    async def _busy_slots(self) -> int | None:
        try:
            rows = await self._http.ask("/slots")
        except BackendError:  # it can be switched off
            return None
        if not isinstance(rows, list):
            return None
        return sum(isinstance(row, dict) and row.get("is_processing") is True for row in rows)

    async def _learn(self, name: str) -> None:
        """The context, and whether the model is there: this server answers under any name."""
        if name in self._known:
            return
        self._context = (await self.facts()).context_tokens or 4096
        for model in await self.models():
            self._known.update(names_of(model.name))
        if name not in self._known:
            raise ModelMissing(f"{name} is not served")


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words; None where this is no llama.cpp. Raises BackendError only where nothing answers."""
    rows = rows_of(await http.ask_fields("/v1/models"), "data")
    if not any(row.get("owned_by") == "llamacpp" for row in rows):
        return None
    return "/v1/models says owned_by llamacpp"


def names_of(listed: str) -> tuple[str, ...]:
    """The names by which a listed model may be asked for: llama.cpp without an alias lists the file's path."""
    return (listed, PurePosixPath(listed).stem) if listed.endswith(".gguf") else (listed,)


def _meta(row: dict[str, Any]) -> dict[str, Any]:
    meta = row.get("meta")
    return meta if isinstance(meta, dict) else {}
