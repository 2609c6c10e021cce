"""OpenAI's chat completions, as shapes: what may be asked, and what answers, chunks and errors look like.

Pure: no request, no database. Errors: `Refused`, the only one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
SCHEMA_BYTES = 64 * 1024
EFFORT = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "max"}
THINK = {None: "auto", "none": "off", "minimal": "on", "low": "on", "medium": "on", "high": "on", "xhigh": "on"}

# What clients send without meaning anything by it here.
IGNORED = frozenset(
    "user metadata store service_tier safety_identifier prompt_cache_key prompt_cache_retention verbosity "
    "parallel_tool_calls modalities".split()
)
# What would change the answer and is not done here: refused unless it has a value that asks for nothing.
NOT_DONE: dict[str, tuple[Any, ...]] = {
    "n": (None, 1),
    "tools": (None, []),
    "tool_choice": (None, "none", "auto"),
    "functions": (None, []),
    "function_call": (None, "none", "auto"),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "audio": (None,),
    "prediction": (None,),
    "web_search_options": (None,),
}


class Refused(Exception):
    """An answer other than 200. `retry_after` in seconds becomes the header Retry-After."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        kind: str = "invalid_request_error",
        code: str | None = None,
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Part(msgspec.Struct, frozen=True):
    type: str
    text: str | None = None


class Turn(msgspec.Struct, frozen=True):
    role: str
    content: str | list[Part] | None = None


class JsonSchema(msgspec.Struct, frozen=True):
    schema: dict[str, Any] = msgspec.field(default_factory=dict)


class ResponseFormat(msgspec.Struct, frozen=True):
    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    include_usage: bool | None = False


class _Body(msgspec.Struct, frozen=True):
    model: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    messages: Annotated[list[Turn], msgspec.Meta(min_length=1, max_length=2000)]
    stream: bool | None = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    max_completion_tokens: Annotated[int, msgspec.Meta(ge=1, le=10_000_000)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], msgspec.Meta(max_length=4)] | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh"] | None = None
    response_format: ResponseFormat | None = None


KNOWN = frozenset(_Body.__struct_fields__)


@dataclass(frozen=True)
class Completion:
    """A checked request. `turns` are (role, text) before `text`, the last turn of the user."""

    model: str
    turns: tuple[tuple[str, str], ...]
    text: str
    think: str
    options: dict[str, Any]
    is_stream: bool
    wants_usage: bool


def parse(raw: bytes) -> Completion:
    """Raises `Refused` (400) with OpenAI's words where it has some."""
    body = _body(raw)
    turns = tuple(_turn(turn, index) for index, turn in enumerate(body.messages))
    role, text = turns[-1]
    if role != "user":
        raise Refused(400, "The last message must have the role 'user'.", param="messages")
    return Completion(
        model=body.model,
        turns=turns[:-1],
        text=text,
        think=THINK[body.reasoning_effort],
        options=_options(body),
        is_stream=bool(body.stream),
        wants_usage=bool(body.stream_options and body.stream_options.include_usage),
    )


def _body(raw: bytes) -> _Body:
    try:
        fields = msgspec.json.decode(raw, type=dict[str, Any])
        _check_names(fields)
        return msgspec.convert({name: fields[name] for name in fields if name in KNOWN}, _Body)
    except msgspec.ValidationError as error:
        found = re.search(r"at `\$\.([a-z_]+)", str(error)) or re.search(r"field `([a-z_]+)`", str(error))
        raise Refused(400, f"Invalid request: {error}", param=found[1] if found else None) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused(400, "We could not parse the JSON body of your request.") from None


def _check_names(fields: dict[str, Any]) -> None:
    for name, value in fields.items():
        if name in KNOWN or name in IGNORED:
            continue
        if name not in NOT_DONE:
            raise Refused(400, f"Unrecognized request argument supplied: {name[:80]}", param=name[:80])
        if value not in NOT_DONE[name]:
            raise Refused(400, f"'{name}' is not supported with this value here.", param=name, code="unsupported_value")


def _turn(turn: Turn, index: int) -> tuple[str, str]:
    where = f"messages[{index}]"
    if turn.role not in ROLES:
        raise Refused(400, f"The role {turn.role[:40]!r} is not supported here.", param=f"{where}.role")
    return ROLES[turn.role], _text(turn.content, where)


def _text(content: str | list[Part] | None, where: str) -> str:
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    for part in content:
        if part.type != "text" or part.text is None:
            raise Refused(400, f"Only text is supported here, not {part.type[:40]!r}.", param=f"{where}.content")
    return "\n".join(part.text or "" for part in content)


def _options(body: _Body) -> dict[str, Any]:
    stop = [body.stop] if isinstance(body.stop, str) else body.stop
    wishes = {
        "max_tokens": body.max_completion_tokens or body.max_tokens,
        "temperature": body.temperature,
        "top_p": body.top_p,
        "seed": body.seed,
        "stop": [text for text in stop or [] if text] or None,
        "effort": EFFORT.get(body.reasoning_effort or ""),
        "json_schema": _schema(body.response_format),
    }
    return {name: value for name, value in wishes.items() if value is not None}


def _schema(wish: ResponseFormat | None) -> str | None:
    """The schema as JSON text, empty for any object; None where plain text will do."""
    if wish is None or wish.type == "text":
        return None
    if wish.type == "json_object":
        return ""
    if wish.json_schema is None or not wish.json_schema.schema:
        raise Refused(400, "Missing required parameter: 'response_format.json_schema.schema'.", param="response_format")
    text = msgspec.json.encode(wish.json_schema.schema).decode()
    if len(text) > SCHEMA_BYTES:
        raise Refused(400, f"The schema is longer than {SCHEMA_BYTES} bytes.", param="response_format")
    return text


def model_list(models: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "list", "data": models}


def model(key: str, name: str) -> dict[str, Any]:
    return {"id": key, "object": "model", "created": 0, "owned_by": "r1web", "name": name}


def usage(counts: dict[str, int | None]) -> dict[str, Any]:
    """`counts` as settled. Thinking is written by the model too, so it counts as completion."""
    thinking, prompt = counts.get("thinking_tokens") or 0, counts.get("prompt_tokens") or 0
    written = thinking + (counts.get("answer_tokens") or 0)
    return {
        "prompt_tokens": prompt,
        "completion_tokens": written,
        "total_tokens": prompt + written,
        "prompt_tokens_details": {"cached_tokens": counts.get("cached_tokens") or 0},
        "completion_tokens_details": {"reasoning_tokens": thinking},
    }


@dataclass(frozen=True)
class Frame:
    """What every object of one answer repeats. `created` in seconds since 1970."""

    id: str
    created: int
    model: str
    wants_usage: bool = False

    def completion(self, *, text: str, thinking: str, finish: str, counts: dict[str, int | None]) -> dict[str, Any]:
        message = {"role": "assistant", "content": text, "reasoning_content": thinking or None, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return self._head("chat.completion") | {"choices": [choice], "usage": usage(counts)}

    def chunk(self, delta: dict[str, str], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        chunk = self._head("chat.completion.chunk") | {"choices": [choice]}
        return chunk | {"usage": None} if self.wants_usage else chunk

    def usage_chunk(self, counts: dict[str, int | None]) -> dict[str, Any]:
        return self._head("chat.completion.chunk") | {"choices": [], "usage": usage(counts)}

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}
