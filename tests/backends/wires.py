"""The wires that drivers read answers by: how each says a token, its end and an error, and how to ask by it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from models_admin.backends.base import (
    BackendError,
    ChatMessage,
    ChatRequest,
    Delta,
    Driver,
    Endpoint,
    Finish,
    Limits,
    Prefix,
    ToolCall,
)
from models_admin.backends.drivers import open_driver
from tests.raw_engine import RawEngine, Script, Step, opening, raw_engine, response

MODEL = "m"
KEY = "sk-0123456789abcdef0123456789abcdef"
# Generous: only tests of silence itself set shorter ones.
LIMITS = Limits(connect=20, first_token=30, silence=30, question=30, load=30)


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def event(value: object) -> bytes:
    return b"data: " + _json(value) + b"\n\n"


def line(value: object) -> bytes:
    return _json(value) + b"\n"


LIST = response(_json({"data": [{"id": MODEL, "max_model_len": 4096, "owned_by": "x"}]}))
PROPS = response(_json({"total_slots": 1, "default_generation_settings": {"n_ctx": 4096}}))
SHOW = response(_json({"capabilities": ["completion"], "model_info": {}, "details": {}}))
NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Wire:
    """`path` is where the answer comes from, `before` what the driver asks first."""

    name: str
    kind: str
    path: str
    before: Mapping[str, Script]
    token: Callable[[str], bytes]
    last: bytes
    error: Callable[[object], bytes]
    content_type: str = "text/event-stream"
    prefix: Prefix | None = None

    def request(self) -> ChatRequest:
        return ChatRequest(MODEL, (ChatMessage("user", "hi"),), prefix=self.prefix)

    def opening(self, *, chunked: bool = False, headers: bytes = b"") -> bytes:
        return opening(kind=self.content_type, chunked=chunked, headers=headers)


_FINISH = event({"choices": [{"delta": {}, "finish_reason": "stop"}]})
_TAGS = {"/v1/models": (LIST,)}
CHAT = Wire(
    "chat",
    "vllm",
    "/v1/chat/completions",
    _TAGS,
    lambda text: event({"choices": [{"delta": {"content": text}}]}),
    _FINISH + b"data: [DONE]\n\n",
    lambda error: event({"error": error}),
)
COMPLETION = Wire(
    "completion",
    "llama.cpp",
    "/v1/completions",
    {
        **_TAGS,
        "/props": (PROPS,),
        "/slots": (response(b"[]"),),
        "/apply-template": (response(b'{"prompt":"hi"}'),),
    },
    lambda text: event({"choices": [{"text": text}]}),
    event({"choices": [{"text": "", "finish_reason": "stop"}]}) + b"data: [DONE]\n\n",
    lambda error: event({"error": error}),
    prefix=Prefix("", "so far "),
)
OLLAMA = Wire(
    "ollama",
    "ollama",
    "/api/chat",
    {"/api/show": (SHOW,)},
    lambda text: line({"message": {"role": "assistant", "content": text}, "done": False}),
    line({"message": {"role": "assistant", "content": ""}, "done": True, "done_reason": "stop"}),
    lambda error: line({"error": error}),
    content_type=NDJSON,
)
WIRES = {wire.name: wire for wire in (CHAT, COMPLETION, OLLAMA)}


@dataclass
class Heard:
    """What came of a question. `error` None: it ended well."""

    deltas: list[Delta] = field(default_factory=list)
    calls: list[ToolCall] = field(default_factory=list)
    finish: Finish | None = None
    error: BackendError | None = None

    def text(self, kind: str = "answer") -> str:
        return "".join(delta.text for delta in self.deltas if delta.kind == kind)


async def hear(driver: Driver, request: ChatRequest) -> Heard:
    """Everything up to the end or the error; any other exception is the test's failure."""
    heard = Heard()
    try:
        async for item in driver.chat(request):
            if isinstance(item, Delta):
                heard.deltas.append(item)
            elif isinstance(item, ToolCall):
                heard.calls.append(item)
            else:
                heard.finish = item
    except BackendError as error:
        heard.error = error
    return heard


@asynccontextmanager
async def playing(
    wire: Wire, *steps: Step, limits: Limits = LIMITS, key: str = ""
) -> AsyncIterator[tuple[RawEngine, Driver]]:
    """The engine of a wire that answers its question with `steps`, and its driver."""
    async with (
        raw_engine({**wire.before, wire.path: steps}) as engine,
        open_driver(Endpoint(engine.url, key, wire.kind, limits)) as driver,
    ):
        yield engine, driver


async def heard_of(wire: Wire, *steps: Step, limits: Limits = LIMITS, key: str = "") -> Heard:
    """What a driver makes of `steps`."""
    async with playing(wire, *steps, limits=limits, key=key) as (_, driver):
        return await hear(driver, wire.request())
