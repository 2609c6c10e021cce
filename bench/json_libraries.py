"""How long JSON libraries take for one event of a stream; the events are as real engines sent them."""

from __future__ import annotations

import json
import timeit
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import msgspec

from models_admin.backends.ollama_wire import read_line
from models_admin.backends.openai_wire import read_event

ROUNDS, TIMES = 7, 20_000
EVENTS = {
    "vLLM": b'{"id":"chatcmpl-ae0fd0fa66cf9c83","object":"chat.completion.chunk","created":1795487406,"model":"r1-tiny","choices":[{"index":0,"delta":{"reasoning":" step"},"logprobs":null,"finish_reason":null,"token_ids":null}]}',  # noqa: E501
    "SGLang": b'{"id":"1623cf45f883485eb585874b5e379e71","object":"chat.completion.chunk","created":1795518081,"model":"r1-tiny","choices":[{"index":0,"delta":{"reasoning_content":"Step"},"logprobs":null,"finish_reason":null,"matched_stop":null}]}',  # noqa: E501
    "llama.cpp": b'{"choices":[{"finish_reason":null,"index":0,"delta":{"reasoning_content":" step"}}],"created":1795486017,"id":"chatcmpl-uuDrHncrRNRBJe1vR9enpUQXVq3IYbPS","model":"r1-tiny","system_fingerprint":"b0-unknown","object":"chat.completion.chunk"}',  # noqa: E501
    "Ollama": b'{"model":"r1-tiny","created_at":"2026-11-24T15:59:20.992903059Z","message":{"role":"assistant","content":"","thinking":" step"},"done":false}',  # noqa: E501
}
Decode = Callable[[bytes], Any]


def libraries(engine: str) -> dict[str, Decode]:
    found: dict[str, Decode] = {"json": json.loads}
    if find_spec("orjson"):  # no package of the site's; measured where somebody has it
        found["orjson"] = import_module("orjson").loads
    found["msgspec, any type"] = msgspec.json.Decoder().decode
    found["msgspec, our structs"] = read_line if engine == "Ollama" else read_event
    return found


def report() -> str:
    """The table in Markdown: µs per event, the best of some rounds."""
    names = list(libraries("vLLM"))
    rows = [f"| event of | bytes | {' | '.join(names)} |", "|---|---|" + "---|" * len(names)]
    for engine, event in EVENTS.items():
        figures = [_microseconds(decode, event) for decode in libraries(engine).values()]
        rows.append(f"| {engine} | {len(event)} | {' | '.join(f'{figure:.2f}' for figure in figures)} |")
    return "\n".join(rows)


def _microseconds(decode: Decode, event: bytes) -> float:
    return min(timeit.repeat(lambda: decode(event), repeat=ROUNDS, number=TIMES)) / TIMES * 1e6
