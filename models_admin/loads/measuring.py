"""How fast an engine answers: a few short answers at once, timed from here, the way answers go. No Django."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass

from models_admin.backends.base import BrokeOff, ChatMessage, ChatRequest, Delta, Driver, Finish

SMOKE_TOKENS = 24
MEASURE_TOKENS = 96
# Long enough that reading it takes a time that can be told from the rest.
QUESTION = "Count from one to fifty in words, then explain in three sentences what a prime number is. " * 8
SMOKE_QUESTION = "What is 12 + 34?"
MOST_STREAMS = 64


@dataclass(frozen=True)
class Timing:
    """One answer: seconds to its first token and to its end, tokens written and read, ms of reading by the engine."""

    first_token: float
    whole: float
    tokens: int
    prompt_tokens: int
    prefill_ms: int


@dataclass(frozen=True)
class Round:
    """So many answers at once."""

    streams: int
    timings: tuple[Timing, ...]
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        return sum(each.tokens for each in self.timings) / max(self.seconds, 0.001)

    @property
    def first_token_ms(self) -> int:
        firsts = sorted(each.first_token for each in self.timings)
        return round(1000 * firsts[len(firsts) // 2])

    @property
    def decode_us_per_token(self) -> int:
        """Of one stream's time beside the others, from its first token on."""
        tokens = sum(max(0, each.tokens - 1) for each in self.timings)
        spent = sum(each.whole - each.first_token for each in self.timings)
        return max(1, round(1e6 * spent / max(1, tokens)))

    @property
    def prefill_us_per_token(self) -> int:
        tokens = sum(each.prompt_tokens for each in self.timings)
        spent = sum(each.prefill_ms or 1000 * each.first_token for each in self.timings)
        return max(1, round(1000 * spent / max(1, tokens)))


def streams_up_to(slots: int) -> list[int]:
    """1, 2, 4 … and the number of slots."""
    most = max(1, min(slots, MOST_STREAMS))
    counts = [count for power in range(7) if (count := 2**power) < most]
    return [*counts, most]


async def smoke(driver: Driver, model: str, *, context_tokens: int | None) -> Round:
    """The first token, and a few more. Raises BackendError, BrokeOff where none came."""
    return await rounds(driver, [_request(model, SMOKE_QUESTION, SMOKE_TOKENS, context_tokens)])


async def measure(driver: Driver, model: str, streams: int, *, context_tokens: int | None) -> Round:
    """Raises BackendError. Each question begins differently, so that no cache of prompts answers for the engine."""
    questions = [f"Answer {number}. {QUESTION}" for number in range(streams)]
    return await rounds(driver, [_request(model, each, MEASURE_TOKENS, context_tokens) for each in questions])


async def rounds(driver: Driver, requests: Sequence[ChatRequest]) -> Round:
    started = time.monotonic()
    found = await asyncio.gather(*(_answer(driver, request) for request in requests), return_exceptions=True)
    seconds = time.monotonic() - started
    for each in found:
        if isinstance(each, BaseException):
            raise each
    return Round(len(requests), tuple(each for each in found if isinstance(each, Timing)), seconds)


async def _answer(driver: Driver, request: ChatRequest) -> Timing:
    started, first, tokens, finish = time.monotonic(), None, 0, None
    async with contextlib.aclosing(driver.chat(request)) as stream:
        async for item in stream:
            if isinstance(item, Delta):
                first = first or time.monotonic()
                tokens += item.tokens
            elif isinstance(item, Finish):
                finish = item
    if first is None or finish is None:
        raise BrokeOff("no token came out")
    usage = finish.usage
    written = usage.thinking_tokens + usage.answer_tokens or tokens
    return Timing(first - started, time.monotonic() - started, written, usage.prompt_tokens, finish.prefill_ms)


def _request(model: str, question: str, most: int, context_tokens: int | None) -> ChatRequest:
    return ChatRequest(
        model=model,
        messages=(ChatMessage("user", question),),
        max_tokens=most,
        temperature=0.6,
        context_tokens=context_tokens,
    )
