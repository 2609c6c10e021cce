"""Short words for the contract tests: ask, collect, wait."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from models_admin.backends.base import ChatMessage, ChatRequest, Delta, Driver, Finish
from tests.running_engines import RunningEngine


def asking(engine: RunningEngine, text: str, **fields: Any) -> ChatRequest:
    """A request that a real model answers the same way every time."""
    fields = {"model": engine.model, "temperature": 0.0, **fields}
    return ChatRequest(messages=(ChatMessage("user", text),), **fields)


def question(engine: RunningEngine) -> str:
    """Something with thinking and an answer for either engine."""
    return "12+34=?" if engine.log is None else "say 12+8"


def long_question(engine: RunningEngine) -> str:
    """Something that takes a while: hundreds of tokens."""
    return "Count from 1 to 100" if engine.log is None else "say 100+400"


async def collect(driver: Driver, request: ChatRequest) -> tuple[list[Delta], Finish]:
    items = [item async for item in driver.chat(request)]
    finish = items.pop()
    assert isinstance(finish, Finish)
    return [item for item in items if isinstance(item, Delta)], finish


def text_of(deltas: list[Delta], kind: str) -> str:
    return "".join(delta.text for delta in deltas if delta.kind == kind)


async def until(claim: Callable[[], Awaitable[bool]], seconds: float = 10) -> None:
    """Wait until `claim` comes true."""
    async with asyncio.timeout(seconds):
        while not await claim():  # noqa: ASYNC110 - the truth lies in another process
            await asyncio.sleep(0.02)
