"""What every engine driver offers: requests, deltas, one tree of errors, the `Driver` protocol.

No Django, Celery or Redis in this package: a driver is a client of one engine and nothing else.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import ClassVar, Literal, Protocol, runtime_checkable

from models_admin.backends.facts import Capabilities, EngineFacts, LoadedModel, ModelFacts, PullStep, ServedModel

Role = Literal["system", "user", "assistant", "tool"]
Think = Literal["auto", "on", "off"]
Effort = Literal["low", "medium", "high", "max"]
Channel = Literal["thinking", "answer"]
Ending = Literal["stop", "length", "tool_calls", "content_filter"]


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
    """The engine refuses this request and would refuse it again, or what answers is no such engine."""

    code = "bad_request"


class WrongKey(BackendError):
    """The engine refuses the key stored for it."""

    code = "wrong_key"


class OutOfCredit(BackendError):
    """The account behind the key is used up: nothing more can be asked until somebody pays."""

    code = "out_of_credit"


class BrokeOff(BackendError):
    """The answer had begun and did not come to its end."""

    code = "engine_broke_off"
    retryable = True


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model wishes: `arguments` is JSON text as the model wrote it, not checked."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Tool:
    """A function that the model may wish to be called; `parameters` is a JSON schema as text."""

    name: str
    description: str = ""
    parameters: str = "{}"


@dataclass(frozen=True, slots=True)
class ChatMessage:
    """One turn. `tool_calls` belong to the assistant, `tool_call_id` to the tool's answer.

    `thinking` is sent only where an engine demands it (DeepSeek: in turns with tool calls).
    """

    role: Role
    content: str
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str = ""


@dataclass(frozen=True, slots=True)
class Prefix:
    """What the answer holds already, to be gone on from. `answer` None: the thought is open; "": it is closed."""

    thinking: str = ""
    answer: str | None = None


@dataclass(frozen=True, slots=True)
class JsonFormat:
    """An answer that is JSON; `schema` is a JSON schema as text, empty = any object."""

    schema: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One wish for an answer, in no engine's own words. None = the engine's default.

    `context_tokens` is the deployment's, for engines that would load the model anew for another one.
    `end_user` is a pseudonym for clouds that keep their users' caches apart, never a name.
    """

    model: str
    messages: tuple[ChatMessage, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    think: Think = "auto"
    effort: Effort | None = None
    response_format: JsonFormat | None = None
    tools: tuple[Tool, ...] = ()
    prefix: Prefix | None = None
    context_tokens: int | None = None
    end_user: str = ""


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
class Limits:
    """Seconds: to connect, until the first token, between tokens after it, for a short question, for a load."""

    connect: float = 3.0
    first_token: float = 300.0
    silence: float = 60.0
    question: float = 5.0
    load: float = 1800.0


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where an engine listens. `base_url` without `/v1`; the key stays out of the representation."""

    base_url: str
    key: str = field(default="", repr=False)
    kind: str = "openai-compatible"
    limits: Limits = Limits()


Item = Delta | ToolCall | Finish


class Driver(Protocol):
    """One engine, one HTTP client, one event loop. Every method raises only `BackendError`.

    `capabilities` says what the engine can do at best; `inspect` narrows it for a model.
    """

    capabilities: ClassVar[Capabilities]
    endpoint: Endpoint

    def __init__(self, endpoint: Endpoint) -> None: ...

    def chat(self, request: ChatRequest) -> AsyncGenerator[Item, None]:
        """Stream an answer; the last item is a `Finish`. Closing the generator frees the engine's slot."""
        ...

    async def health(self) -> Health: ...

    async def facts(self) -> EngineFacts:
        """Version, slots, context, load and balance, as far as the engine tells them."""
        ...

    async def models(self) -> tuple[ServedModel, ...]: ...

    async def inspect(self, model: str) -> ModelFacts:
        """What the engine knows of one model. Raises ModelMissing."""
        ...

    async def loaded(self) -> tuple[LoadedModel, ...]:
        """The models in memory and what they take of it, as far as the engine tells it."""
        ...

    async def count_prompt(self, request: ChatRequest) -> int | None:
        """Tokens of the prompt by the engine's own template and tokenizer; None where it has no such count."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class Loads(Protocol):
    """A driver whose engine loads and unloads on demand (`capabilities.load`)."""

    async def load(self, model: str, *, context_tokens: int | None = None, keep_seconds: int | None = None) -> None:
        """Returns when the model is in memory. `keep_seconds` idle before it goes again, −1 = for ever."""
        ...

    async def unload(self, model: str) -> None:
        """Returns when the engine no longer lists the model as loaded."""
        ...


@runtime_checkable
class Pulls(Protocol):
    """A driver whose engine fetches models itself (`capabilities.pull`)."""

    def pull(self, model: str) -> AsyncGenerator[PullStep, None]:
        """Steps until the model is there, verified by the engine; closing the generator pauses the download."""
        ...

    async def delete(self, model: str) -> None:
        """Remove its files. Raises ModelMissing where there are none."""
        ...
