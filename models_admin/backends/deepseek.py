"""The DeepSeek API: a cloud. Its names come from its own list; R1 is no longer among them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from decimal import Decimal
from typing import Any, ClassVar

from models_admin.backends import serving
from models_admin.backends.answer import Answer
from models_admin.backends.base import (
    BackendError,
    BadRequest,
    BrokeOff,
    ChatRequest,
    Endpoint,
    Finish,
    Health,
    Item,
    ModelMissing,
    OutOfCredit,
)
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.control_tokens import neutralise
from models_admin.backends.facts import Balance, EngineFacts, LoadedModel, ModelFacts, ServedModel
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import chat_body
from models_admin.backends.reading import rows_of, text
from models_admin.backends.streaming import EventReader, stream_answer

_CHAT = "/chat/completions"
_BETA_CHAT = "/beta/chat/completions"
_MODELS = "/models"
_MAX_DIGITS = 40
_MAX_MICRO = 10**15  # a thousand million of any currency


class DeepSeek:
    capabilities: ClassVar = CAPABILITIES["deepseek"]

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._http = EngineHttp(endpoint)

    async def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        reader = EventReader(Answer(None, behind=request.prefix))
        path = _CHAT if request.prefix is None else _BETA_CHAT
        has_text = False
        async with aclosing(stream_answer(self._http, path, _body(request), reader)) as items:
            async for item in items:
                if isinstance(item, Finish) and item.reason == "stop" and not has_text:
                    raise BrokeOff("finished without a word")  # its own client treats this as a failure
                has_text = True
                yield item

    async def health(self) -> Health:
        """One look at the account: a used-up one is as good as an engine that is gone."""
        try:
            facts = await self.facts()
        except BackendError as error:
            return Health(False, error.code)
        return Health(facts.is_in_credit, "" if facts.is_in_credit else OutOfCredit.code)

    async def models(self) -> tuple[ServedModel, ...]:
        return await serving.served_models(self._http, _MODELS)

    async def facts(self) -> EngineFacts:
        answer = await self._http.ask_fields("/user/balance")
        balances = tuple(filter(None, map(_balance, rows_of(answer, "balance_infos"))))
        return EngineFacts(balances=balances, is_in_credit=answer.get("is_available") is not False)

    async def inspect(self, model: str) -> ModelFacts:
        if model not in {served.name for served in await self.models()}:
            raise ModelMissing(f"{model} is not served")
        return ModelFacts(model, thinks=True, uses_tools=True)

    async def loaded(self) -> tuple[LoadedModel, ...]:
        return ()

    async def count_prompt(self, request: ChatRequest) -> int | None:
        return None

    async def aclose(self) -> None:
        await self._http.aclose()


async def detect(http: EngineHttp) -> str | None:
    """Evidence in words; None where this is not the DeepSeek API (or a stand-in for it)."""
    rows = rows_of(await http.ask_fields(_MODELS), "data")
    return "/models says owned_by deepseek" if any(row.get("owned_by") == "deepseek" for row in rows) else None


def _body(request: ChatRequest) -> dict[str, Any]:
    # Turns with tool calls are refused without their thinking; in all others it is paid for and ignored.
    body = chat_body(request, with_thinking=True)
    body["thinking"] = {"type": "disabled" if request.think == "off" else "enabled"}
    if request.effort:
        body["reasoning_effort"] = "high" if request.effort == "medium" else request.effort
    if request.end_user:
        body["user_id"] = request.end_user
    if request.prefix is not None:
        if request.prefix.answer is None:
            raise BadRequest("this cloud cannot go on inside a thought")
        answer = neutralise(request.prefix.answer)
        body["messages"] = [*body["messages"], {"role": "assistant", "content": answer, "prefix": True}]
        body["thinking"] = {"type": "disabled"}
    return body


def _balance(row: dict[str, Any]) -> Balance | None:
    try:
        micro = Decimal(text(row.get("total_balance"))[:_MAX_DIGITS]) * 1_000_000
        return Balance(text(row.get("currency")), int(micro)) if abs(micro) <= _MAX_MICRO else None
    except ArithmeticError:  # no number, or one of a million digits
        return None
