"""Ollama by its native API: only there are context, keep-alive, load and pull. Its own queue has no bound."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from models_admin.backends import ollama_wire as wire
from models_admin.backends.answer import Answer
from models_admin.backends.base import (
    BackendError,
    BadRequest,
    BrokeOff,
    ChatRequest,
    Endpoint,
    Health,
    Item,
    Prefix,
    Unreachable,
)
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts, LoadedModel, ModelFacts, PullStep, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.ollama_show import read_show
from models_admin.backends.reading import integer, rows_of, text
from models_admin.backends.streaming import stream_answer
from models_admin.backends.thought import ThoughtSplitter, begins_in_thought, is_of_r1

_POLL_SECONDS = 0.2
# Longer than the last answers take that may run still; after it somebody else is using the model.
_UNLOAD_SECONDS = 60.0
# `keep_alive: -1` is told as a date some 290 years ahead.
_FOR_EVER = timedelta(days=36_500)
_EMPTY_THOUGHT = Prefix("\n", "")


class Ollama:
    capabilities: ClassVar = CAPABILITIES["ollama"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = EngineHttp(endpoint)
        self._shown: dict[str, ModelFacts] = {}

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        try:
            shown = await self._show(request.model)
            items = self._items(request, thinks=shown.thinks)
            async with aclosing(items):
                async for item in items:
                    yield item
        except BackendError as error:
            self._shown.clear()
            refined = wire.refine(error, request.context_tokens)
            if refined is error:
                raise
            raise refined from error

    async def health(self) -> Health:
        try:
            await self._http.ask_fields("/api/version")
        except BackendError as error:
            return Health(False, error.code)
        return Health(True)

    async def models(self) -> tuple[ServedModel, ...]:
        """What is stored. Stubs of cloud models are left out: nothing of them is here."""
        rows = rows_of(await self._http.ask_fields("/api/tags"), "models")
        return tuple(
            ServedModel(text(row.get("name")), digest=text(row.get("digest")), bytes=integer(row.get("size")))
            for row in rows
            if text(row.get("name")) and not row.get("remote_host")
        )

    async def facts(self) -> EngineFacts:
        """It tells neither its slots nor how many answers run or wait; context belongs to each loaded model."""
        return EngineFacts(build=text((await self._http.ask_fields("/api/version")).get("version")))

    async def inspect(self, model: str) -> ModelFacts:
        facts = read_show(model, await self._http.ask_fields("/api/show", {"model": model}))
        listed = {row.name: row.digest for row in await self.models()}
        return replace(facts, digest=listed.get(model) or listed.get(f"{model}:latest", ""))

    async def loaded(self) -> tuple[LoadedModel, ...]:
        rows = rows_of(await self._http.ask_fields("/api/ps"), "models")
        return tuple(
            LoadedModel(
                text(row.get("name")),
                integer(row.get("context_length")),
                memory_bytes=integer(row.get("size")),
                gpu_bytes=integer(row.get("size_vram")) or 0,
                digest=text(row.get("digest")),
                idle_seconds=_idle_seconds(text(row.get("expires_at"))),
            )
            for row in rows
        )

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return None

    async def load(self, model: str, *, context_tokens: int | None = None, keep_seconds: int | None = None) -> None:
        body: dict[str, Any] = {"model": model, "stream": False}
        if context_tokens is not None:
            body["options"] = {"num_ctx": context_tokens}
        if keep_seconds is not None:
            body["keep_alive"] = keep_seconds
        # Closing the connection gives the load up: it is held for as long as the load takes.
        answer = await self._http.ask("/api/generate", body, seconds=self.endpoint.limits.load)
        if not isinstance(answer, dict) or answer.get("done_reason") != "load":
            raise BrokeOff("the model was not loaded")

    async def unload(self, model: str) -> None:
        """Its word comes at once; the memory goes when the running answers have ended."""
        await self._http.ask("/api/generate", {"model": model, "stream": False, "keep_alive": 0})
        names = {model, f"{model}:latest"}
        try:
            async with asyncio.timeout(_UNLOAD_SECONDS):
                while names & {row.name for row in await self.loaded()}:  # noqa: ASYNC110 - it has no word for it
                    await asyncio.sleep(_POLL_SECONDS)
        except TimeoutError as error:
            raise Unreachable(f"{model} is still loaded") from error

    async def pull(self, model: str) -> AsyncGenerator[PullStep, None]:
        lines, is_whole = wire.LineCutter(), False
        async with self._http.stream("/api/pull", {"model": model, "stream": True}) as stream:
            stream.silence = self.endpoint.limits.load  # verifying the digest of 400 GB says nothing for minutes
            while not is_whole and (chunk := await stream.next()) is not None:
                stream.note_token()
                for payload in lines.feed(chunk):
                    line = wire.read_pull_line(payload)
                    is_whole = line.status == "success"  # the only sign of it
                    yield PullStep(line.status, line.digest, max(0, line.completed), max(0, line.total))
        if not is_whole:
            raise BrokeOff("the pull ended early")

    async def delete(self, model: str) -> None:
        await self._http.ask_bytes("/api/delete", {"model": model}, method="DELETE")

    async def aclose(self) -> None:
        await self._http.aclose()

    def _items(self, request: ChatRequest, *, thinks: bool | None) -> AsyncGenerator[Item, None]:
        prefix = request.prefix
        if prefix is None and request.think == "off" and not thinks and is_of_r1(request.model):
            prefix = _EMPTY_THOUGHT  # a template without think tags knows no switch
        if prefix is not None:
            if not is_of_r1(request.model) or request.tools:
                raise BadRequest("only R1 itself can go on here, and without tools: its template alone is known")
            body = wire.raw_body(request, wire.r1_prompt(request.messages, prefix))
            answer = Answer(ThoughtSplitter(inside=prefix.answer is None), behind=prefix)
            return stream_answer(self._http, "/api/generate", body, wire.NdjsonReader(answer))
        inside = not thinks and request.think != "off" and begins_in_thought(request.model)
        reader = wire.NdjsonReader(Answer(ThoughtSplitter(inside=inside)))
        return stream_answer(self._http, "/api/chat", wire.chat_body(request, thinks=thinks), reader)

    async def _show(self, model: str) -> ModelFacts:
        if model not in self._shown:
            self._shown[model] = read_show(model, await self._http.ask_fields("/api/show", {"model": model}))
        return self._shown[model]


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words; None where this is no Ollama. SGLang and llama.cpp imitate `/api/tags`: it proves nothing."""
    version = text((await http.ask_fields("/api/version")).get("version"))
    return f"/api/version says {version}" if version else None


def _idle_seconds(expires_at: str) -> int | None:
    try:
        left = datetime.fromisoformat(expires_at) - datetime.now(UTC)
    except (ValueError, TypeError):
        return None
    return None if left > _FOR_EVER else max(0, int(left.total_seconds()))
