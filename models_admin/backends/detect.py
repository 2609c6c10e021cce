"""What answers at an address: told by what only that kind of engine says, never by its port or by `/api/tags`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from dataclasses import dataclass

from models_admin.backends import deepseek, llama_cpp, ollama, openai_compatible, sglang, vllm
from models_admin.backends.base import BackendError, Endpoint, Unreachable, WrongKey
from models_admin.backends.http_client import EngineHttp

# In this order: what is the most particular first, any OpenAI-compatible engine last.
_TESTS: tuple[tuple[str, Callable[[EngineHttp], Awaitable[str | None]]], ...] = (
    ("ollama", ollama.detect),
    ("vllm", vllm.detect),
    ("sglang", sglang.detect),
    ("llama.cpp", llama_cpp.detect),
    ("deepseek", deepseek.detect),
    ("openai-compatible", openai_compatible.detect),
)


@dataclass(frozen=True, slots=True)
class Detected:
    """`kind` empty: something answers that cannot be used. `wants_key`: it refused our key, or that we had none."""

    kind: str
    evidence: str
    wants_key: bool = False


async def detect(endpoint: Endpoint) -> Detected:
    """Ask what is there. Raises Unreachable where nothing answers, BadRequest where the address is refused."""
    wants_key = False
    async with aclosing(EngineHttp(endpoint)) as http:
        await _require_answer(http)
        for kind, test in _TESTS:
            try:
                evidence = await test(http)
            except WrongKey:
                wants_key = True
            except BackendError:
                continue
            else:
                if evidence:
                    return Detected(kind, evidence, wants_key)
    return Detected("", "it asks for a key" if wants_key else "nothing there is an engine's", wants_key)


async def _require_answer(http: EngineHttp) -> None:
    """One look that tells silence from a refusal: only silence is raised."""
    try:
        await http.ask_bytes("/")
    except Unreachable as error:
        if not str(error).startswith("HTTP"):
            raise
    except BackendError as error:
        if "no address" in str(error) or "not an address" in str(error):
            raise
