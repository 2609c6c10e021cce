"""What every driver promises, as checks that run against a living engine.

The same checks are the tests' contract suite, the table in docs/engines.md and the report of `probe_engine`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from models_admin.backends import contract_chat, contract_engine
from models_admin.backends.base import BackendError, Driver
from models_admin.backends.contract_subject import Broken, NotHere, Subject

Verdict = Literal["kept", "broken", "not possible", "not here"]
CHECK_SECONDS = 120.0


@dataclass(frozen=True)
class Promise:
    """One line of the contract. `needs`: the capability without which it is not possible, empty = every driver.

    `is_costly`: changes what the engine holds (load, pull): run only when asked for.
    """

    key: str
    check: Callable[[Subject], Awaitable[None]]
    needs: str = ""
    is_costly: bool = False


@dataclass(frozen=True)
class Result:
    """`detail` says why it is broken, or not here (this model cannot, no key is set)."""

    key: str
    verdict: Verdict
    detail: str = ""
    milliseconds: int = 0


PROMISES: tuple[Promise, ...] = (
    Promise("health", contract_engine.health),
    Promise("version", contract_engine.version, "tells_version"),
    Promise("models", contract_engine.models),
    Promise("inspect", contract_engine.inspect),
    Promise("load_told", contract_engine.load_told, "tells_load"),
    Promise("memory", contract_engine.memory, "tells_memory"),
    Promise("balance", contract_engine.balance, "balance"),
    Promise("thinking", contract_chat.thinking),
    Promise("usage", contract_chat.usage),
    Promise("count_prompt", contract_chat.count_prompt, "count_prompt"),
    Promise("control_tokens", contract_chat.control_tokens),
    Promise("length", contract_chat.length),
    Promise("stop", contract_chat.stop),
    Promise("seed", contract_chat.seed, "seed"),
    Promise("json_object", contract_chat.json_object, "json_object"),
    Promise("any_schema", contract_chat.any_schema, "any_schema"),
    Promise("tools", contract_chat.tools, "tools"),
    Promise("effort", contract_chat.effort, "effort"),
    Promise("thinking_off", contract_chat.thinking_off, "thinking_off"),
    Promise("continue_answer", contract_chat.continue_answer, "continue_answer"),
    Promise("continue_thinking", contract_chat.continue_thinking, "continue_thinking"),
    Promise("end_thinking", contract_chat.end_thinking, "continue_answer"),
    Promise("cancel", contract_chat.cancel),
    Promise("model_missing", contract_engine.model_missing),
    Promise("context_too_long", contract_engine.context_too_long),
    Promise("wrong_key", contract_engine.wrong_key, "has_key"),
    Promise("load", contract_engine.load_and_unload, "load", is_costly=True),
    Promise("pull", contract_engine.pull, "pull", is_costly=True),
)


async def run(driver: Driver, model: str, *, with_costly: bool = False) -> AsyncIterator[Result]:
    """Each promise in turn. What an engine does wrong is a result, never an exception."""
    subject = Subject(driver, model)
    for promise in PROMISES:
        if with_costly or not promise.is_costly:
            yield await check(promise, subject)


async def check(promise: Promise, subject: Subject) -> Result:
    if promise.needs and not getattr(subject.driver.capabilities, promise.needs):
        return Result(promise.key, "not possible")
    began = time.monotonic()
    verdict: Verdict = "broken"
    detail = ""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            await promise.check(subject)
        verdict = "kept"
    except NotHere as reason:
        verdict, detail = "not here", str(reason)
    except Broken as reason:
        detail = str(reason)
    except BackendError as error:
        detail = f"{error.code}: {error}"[:300]
    except TimeoutError:
        detail = f"no end after {CHECK_SECONDS:.0f} s"
    return Result(promise.key, verdict, detail, round((time.monotonic() - began) * 1000))
