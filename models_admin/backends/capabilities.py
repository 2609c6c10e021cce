"""What each kind of engine can do at best: data, so that pages and doors know it without loading a driver."""

from __future__ import annotations

from typing import Final

from models_admin.backends.facts import Capabilities
from models_admin.backends.thought import is_of_r1

CAPABILITIES: Final[dict[str, Capabilities]] = {
    "ollama": Capabilities(
        has_key=False,
        thinking_off=True,
        continue_answer=True,
        continue_thinking=True,
        seed=True,
        json_object=True,
        any_schema=True,
        tools=True,
        effort=True,
        tells_memory=True,
        load=True,
        pull=True,
    ),
    "vllm": Capabilities(
        thinking_off=True,
        continue_answer=True,
        continue_thinking=True,
        seed=True,
        json_object=True,
        any_schema=True,
        tools=True,
        effort=True,
        count_prompt=True,
        tells_load=True,
    ),
    "sglang": Capabilities(
        thinking_off=True,
        continue_answer=True,
        continue_thinking=True,
        seed=False,  # it takes one, and keeps to it only when started with --enable-deterministic-inference
        json_object=True,
        any_schema=True,
        tools=True,
        effort=True,
        count_prompt=True,
        tells_load=True,
        tells_memory=True,
    ),
    "llama.cpp": Capabilities(
        thinking_off=True,
        continue_answer=True,
        continue_thinking=True,
        seed=True,
        json_object=True,
        any_schema=True,
        tools=True,
        count_prompt=True,
        tells_load=True,
    ),
    "deepseek": Capabilities(
        tells_version=False,
        thinking_off=True,
        continue_answer=True,
        sampling=False,
        json_object=True,
        tools=True,
        effort=True,
        balance=True,
    ),
    # What may be there on an unknown engine is offered only where its absence does no harm.
    "openai-compatible": Capabilities(tells_version=False, seed=True, json_object=True, tools=True),
}


def continuing(kind: str, model: str) -> frozenset[str]:
    """Which of `continue_answer` and `continue_thinking` an engine can do with a model, by the name it serves it under.

    Ollama has no route for it: the prompt is written by us, and only R1's template is known.
    """
    if kind == "ollama" and not is_of_r1(model):
        return frozenset()
    can = CAPABILITIES[kind]
    return frozenset(name for name in ("continue_answer", "continue_thinking") if getattr(can, name))
