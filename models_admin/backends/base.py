"""What every engine driver offers: requests, deltas, one tree of errors, the `Driver` protocol.

No Django, Celery or Redis in this package: a driver is a client of one engine and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Protocol

Role = Literal["system", "user", "assistant"]
Think = Literal["auto", "on", "off"]
Channel = Literal["thinking", "answer"]
Ending = Literal["stop", "length"]


class BackendError(Exception):
    """An engine did not give an answer. `code` is stored as the reason; the text is for logs, not for people."""

    code: ClassVar[str] = "engine_failed"
    retryable: ClassVar[bool] = False


class Unreachable(BackendError):
    """No answer has begun: refused, unknown host, silent for too long, died before the first token."""

    code = "engine_unreachable"
    retryable = True


class Overloaded(BackendError):
    """The engine's queue is full or it is still loading. `retry_after` in seconds, if it said so."""

    code = "engine_overloaded"
    retryable = True

    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class ModelMissing(BackendError):
    """The engine does not serve the model that was asked for."""

    code = "model_missing"


class ContextTooLong(BackendError):
    """The prompt does not fit. `limit` and `asked` in tokens, where the engine told them."""

    code = "context_too_long"

    def __init__(self, message: str = "", *, limit: int | None = None, asked: int | None = None) -> None:
        super().__init__(message)
        self.limit = limit
        self.asked = asked


class BadRequest(BackendError):
    """The engine refuses this request and would refuse it again."""

    code = "bad_request"


class WrongKey(BackendError):
    """The engine refuses the key stored for it."""

    code = "wrong_key"


class BrokeOff(BackendError):
    """The answer had begun and did not come to its end."""

    code = "engine_broke_off"
    retryable = True


@dataclass(frozen=True, slots=True)
class ChatMessage:
    role: Role
    content: str


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One wish for an answer, in no engine's own words. None = the engine's default."""

    model: str
    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    think: Think = "auto"
    response_format: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text on one channel, worth `tokens` by our own count."""

    kind: Channel
    text: str
    tokens: int


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by the engine's count; thinking + answer = all that it wrote."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0


@dataclass(frozen=True, slots=True)
class Finish:
    """The last item of every whole answer. Milliseconds by the engine's clock, else by ours."""

    reason: Ending
    usage: Usage
    prefill_ms: int
    decode_ms: int


@dataclass(frozen=True, slots=True)
class Health:
    is_ready: bool
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the engine lists it; `context_tokens` for one answer, where it says so."""

    name: str
    context_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class SlotState:
    number: int
    is_busy: bool
    context_tokens: int


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself; None where it says nothing. Context is tokens per slot."""

    slots: int | None = None
    context_tokens: int | None = None
    build: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds: to connect, until the first token, between tokens after it, for a short question."""

    connect: float = 3.0
    first_token: float = 300.0
    silence: float = 60.0
    question: float = 5.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens. `base_url` without `/v1`; the key stays out of the representation."""

    base_url: str
    key: str = field(default="", repr=False)
    kind: str = "openai-compatible"
    limits: Limits = Limits()


class Driver(Protocol):
    """One engine, one HTTP client, one event loop. Every method raises only `BackendError`."""

    endpoint: Endpoint

    def chat(self, request: ChatRequest) -> AsyncGenerator[Delta | Finish, None]:
        """Stream an answer; the last item is a `Finish`. Closing the generator frees the engine's slot."""
        ...

    async def health(self) -> Health: ...

    async def models(self) -> tuple[ServedModel, ...]: ...

    async def slots(self) -> tuple[SlotState, ...]: ...

    async def facts(self) -> EngineFacts: ...

    async def count_prompt(self, request: ChatRequest) -> int | None: ...

    async def aclose(self) -> None: ...
