"""What engines of OpenAI's wire have in common: models, health, and answers that go on from token numbers."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

from models_admin.backends.answer import Answer
from models_admin.backends.base import BackendError, BadRequest, ChatRequest, Health, Item, ModelMissing, Prefix
from models_admin.backends.facts import ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import chat_body, completion_body, messages_body
from models_admin.backends.reading import integer, rows_of, text
from models_admin.backends.streaming import CHAT_PATH, COMPLETION_PATH, EventReader, stream_answer
from models_admin.backends.thought import OPENING, ThoughtSplitter, begins_in_thought, tail_of

MODELS_PATH = "/v1/models"
# The switches of Qwen3's and DeepSeek V3.1's templates; others pass over them.
_THINKING_OFF = {"thinking": False, "enable_thinking": False}
_EMPTY_THOUGHT = Prefix("\n", "")


class Served:
    """The names that an engine serves, asked for once and forgotten when it fails: it may come back with others."""

    def __init__(self, http: EngineHttp) -> None:
        self._http = http
        self._known: set[str] = set()

    async def require(self, name: str) -> None:
        """Raises ModelMissing. SGLang answers under any name: the driver has to compare itself."""
        if name in self._known:
            return
        try:
            self._known = {model.name for model in await served_models(self._http)}
        except BadRequest:  # no such list here: the engine's own answer decides
            return
        if self._known and name not in self._known:
            raise ModelMissing(f"{name} is not served")

    def forget(self) -> None:
        self._known.clear()


async def served_models(http: EngineHttp, path: str = MODELS_PATH) -> tuple[ServedModel, ...]:
    rows = rows_of(await http.ask_fields(path), "data")
    found = (ServedModel(text(row.get("id")), integer(row.get("max_model_len"))) for row in rows)
    return tuple(model for model in found if model.name)


async def inspect_served(http: EngineHttp, model: str) -> ModelFacts:
    """What `/v1/models` tells of one model; `root` is the repository or folder behind it."""
    for row in rows_of(await http.ask_fields(MODELS_PATH), "data"):
        if row.get("id") == model:
            return ModelFacts(model, integer(row.get("max_model_len")), source=text(row.get("root")))
    raise ModelMissing(f"{model} is not served")


async def health_of(http: EngineHttp, *paths: str) -> Health:
    """Ready where the first path that exists answers 200."""
    for path in paths:
        try:
            await http.ask_bytes(path)
        except BadRequest:  # not every engine has the path
            continue
        except BackendError as error:
            return Health(False, error.code)
        return Health(True)
    return Health(False, BadRequest.code)


async def owner_of(http: EngineHttp) -> str:
    """`owned_by` of the first model listed."""
    rows = rows_of(await http.ask_fields(MODELS_PATH), "data")
    return text(rows[0].get("owned_by")) if rows else ""


async def answer(http: EngineHttp, served: Served, request: ChatRequest) -> AsyncGenerator[Item, None]:
    """The answer of an engine with `/tokenize` (vLLM, SGLang), once it is sure to serve the model."""
    try:
        await served.require(request.model)
        async with aclosing(await _items(http, request)) as items:
            async for item in items:
                yield item
    except BackendError:
        served.forget()
        raise


async def _items(http: EngineHttp, request: ChatRequest) -> AsyncGenerator[Item, None]:
    """A chat, or a raw completion where it goes on."""
    prefix = request.prefix
    if prefix is None and request.think == "off" and await _thinks_all_the_same(http, request):
        prefix = _EMPTY_THOUGHT
    if prefix is not None:
        return await _continuation(http, request, prefix)
    body = chat_body(request)
    if (request.max_tokens or 0) >= (request.context_tokens or 1 << 60):
        del body["max_tokens"]  # what the context leaves, instead of a refusal
    if request.think == "off":
        body["chat_template_kwargs"] = _THINKING_OFF
    if request.effort:
        body["reasoning_effort"] = request.effort
    # With a reasoning parser the engine tells thinking apart; without, R1's text begins inside the thought.
    inside = request.think != "off" and begins_in_thought(request.model)
    return stream_answer(http, CHAT_PATH, body, EventReader(Answer(ThoughtSplitter(inside=inside))))


async def _continuation(http: EngineHttp, request: ChatRequest, prefix: Prefix) -> AsyncGenerator[Item, None]:
    # As a chat, reasoning parsers call every continued answer thinking, and templates cut the thought out of it.
    told = await _tokenized_chat(http, request)
    prompt = _tokens(told)
    tail = tail_of(prefix, is_open=await _opens_thought(http, request.model, prompt))
    prompt += await _text_tokens(http, request.model, tail)
    answer = Answer(ThoughtSplitter(inside=prefix.answer is None), behind=prefix)
    body = completion_body(request, prompt)
    # A completion without a limit ends after 16 tokens, unlike a chat; one beyond the context is refused.
    room = (integer(told.get("max_model_len")) or request.context_tokens or 0) - len(prompt)
    if room > 0:
        body["max_tokens"] = min(request.max_tokens or room, room)
    return stream_answer(http, COMPLETION_PATH, body, EventReader(answer))


async def _thinks_all_the_same(http: EngineHttp, request: ChatRequest) -> bool:
    """R1's template knows no switch: its thought can only be closed by ourselves."""
    prompt = await prompt_tokens(http, request, chat_template_kwargs=_THINKING_OFF)
    return await _opens_thought(http, request.model, prompt)


async def prompt_tokens(http: EngineHttp, request: ChatRequest, **fields: Any) -> list[int]:
    """The prompt by the engine's own template and tokenizer (`/tokenize` of vLLM and SGLang)."""
    return _tokens(await _tokenized_chat(http, request, **fields))


async def _tokenized_chat(http: EngineHttp, request: ChatRequest, **fields: Any) -> dict[str, Any]:
    body = {"model": request.model, "messages": messages_body(request.messages), **fields}
    return await http.ask_fields("/tokenize", body)


async def _opens_thought(http: EngineHttp, model: str, prompt: list[int]) -> bool:
    """Whether the template's prompt ends with an opened thought."""
    opening = await _text_tokens(http, model, OPENING)
    return bool(opening) and prompt[-len(opening) :] == opening


async def _text_tokens(http: EngineHttp, model: str, plain: str) -> list[int]:
    if not plain:
        return []
    body = {"model": model, "prompt": plain, "add_special_tokens": False}
    return _tokens(await http.ask_fields("/tokenize", body))


def _tokens(answer: dict[str, Any]) -> list[int]:
    tokens = answer.get("tokens")
    if not isinstance(tokens, list) or any(integer(token) is None for token in tokens):
        raise BadRequest("/tokenize answered no tokens")
    return tokens
