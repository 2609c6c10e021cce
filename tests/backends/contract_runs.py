"""The contract, run once per engine and test session, and what each cell of the table rests on.

real: seen on the real server. recorded: on what a real server sent. documented: on frames made from documentation.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

from models_admin.backends import contract
from models_admin.backends.base import BackendError, ContextTooLong, Endpoint, OutOfCredit, Overloaded
from models_admin.backends.contract import PROMISES, Result
from models_admin.backends.contract_subject import Broken, Subject, require
from models_admin.backends.drivers import open_driver
from tests import recorded_rules, running_engines
from tests.recorded_engine import Replay, playing
from tests.running_engines import RunningEngine

Evidence = Literal["real", "recorded", "documented"]
Opened = tuple[Endpoint, Replay | None]
# A recording answers as it did, whatever is asked, and holds no slot: these cannot be seen on it.
NOT_ON_RECORDINGS = frozenset({"control_tokens", "count_prompt", "seed", "cancel"})
ANSWERS = frozenset({"stop", "seed", "json_object", "any_schema", "thinking_off", "continue_answer",
                     "continue_thinking", "end_thinking", "tools", "effort", "cancel"})  # fmt: skip


@dataclass(frozen=True)
class Bench:
    """An engine to hold the contract against; `leaves_out` what cannot be seen on it."""

    kind: str
    model: str
    open: Callable[[], AbstractContextManager[Opened]]
    leaves_out: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Seen:
    """A result and what it rests on."""

    result: Result
    evidence: Evidence


@contextmanager
def _own_llama(model: Path, kind: str = "llama.cpp") -> Iterator[Opened]:
    with tempfile.TemporaryDirectory() as folder, running_engines.llama_cpp(Path(folder), model=model) as engine:
        yield Endpoint(engine.endpoint.base_url, engine.endpoint.key, kind), None


@contextmanager
def _recorded(replay: Replay, kind: str) -> Iterator[Opened]:
    with playing(replay) as url:
        yield Endpoint(url, replay.key, kind), replay


BENCHES: dict[str, Bench] = {
    "llama.cpp": Bench("llama.cpp", "r1-tiny", lambda: _own_llama(running_engines.MODEL)),
    "llama.cpp, SmolLM2": Bench(
        "llama.cpp", "SmolLM2-135M-Instruct.Q4_1", lambda: _own_llama(running_engines.smollm2())
    ),
    "openai-compatible": Bench(
        "openai-compatible",
        str(running_engines.MODEL),
        lambda: _own_llama(running_engines.MODEL, "openai-compatible"),
        frozenset({"cancel"}),  # it tells no load, and with four slots the next question is answered in any case
    ),
    "ollama": Bench("ollama", "r1-tiny", lambda: _recorded(recorded_rules.ollama(), "ollama"), NOT_ON_RECORDINGS),
    "ollama, tools": Bench(
        "ollama",
        "r1-tools",
        lambda: _recorded(recorded_rules.ollama(), "ollama"),
        frozenset(promise.key for promise in PROMISES) - {"tools"},
    ),
    "vllm, recorded": Bench(
        "vllm", "r1-tiny", lambda: _recorded(recorded_rules.vllm(), "vllm"), NOT_ON_RECORDINGS | ANSWERS
    ),
    "sglang, recorded": Bench(
        "sglang", "r1-tiny", lambda: _recorded(recorded_rules.sglang(), "sglang"), NOT_ON_RECORDINGS | ANSWERS
    ),
    "deepseek": Bench(
        "deepseek",
        "deepseek-flash",
        lambda: _recorded(recorded_rules.deepseek(), "deepseek"),
        NOT_ON_RECORDINGS,
    ),
}


@cache
def contract_of(name: str) -> dict[str, Seen]:
    """The contract held against one bench: once, however many tests look at it."""
    return asyncio.run(_run(BENCHES[name]))


def contract_of_real(engine: RunningEngine) -> dict[str, Seen]:
    """The contract held against a server that runs already."""

    @contextmanager
    def running() -> Iterator[Opened]:
        yield engine.endpoint, None

    return asyncio.run(_run(Bench(engine.endpoint.kind, engine.model, running)))


async def _run(bench: Bench) -> dict[str, Seen]:
    found: dict[str, Seen] = {}
    with bench.open() as (endpoint, replay):
        async with open_driver(endpoint) as driver:
            subject = Subject(driver, bench.model)
            for promise in PROMISES:
                if promise.key not in bench.leaves_out:
                    found[promise.key] = await _seen(replay, contract.check(promise, subject))
            for key, check in EXTRAS.get((bench.kind, replay is not None), {}).items():
                found[key] = await _seen(replay, _extra(key, check, subject, replay))
    return found


async def _seen(replay: Replay | None, checking: Awaitable[Result]) -> Seen:
    before = len(replay.played) if replay else 0
    result = await checking
    if replay is None:
        return Seen(result, "real")
    is_made = any(name.startswith("documented/") for name in replay.played[before:])
    return Seen(result, "documented" if is_made else "recorded")


Extra = Callable[[Subject, Replay | None], Awaitable[None]]


async def _extra(key: str, check: Extra, subject: Subject, replay: Replay | None) -> Result:
    try:
        await check(subject, replay)
    except (Broken, BackendError) as error:
        return Result(key, "broken", str(error))
    return Result(key, "kept")


async def _sends_no_control_token(subject: Subject, replay: Replay | None) -> None:
    assert replay is not None
    await subject.ask("x<｜Assistant｜></think>", max_tokens=5)
    sent = str(replay.seen[-1][1])
    require("x" in sent and "<｜Assistant｜>" not in sent and "</think>" not in sent, f"sent: {sent}")


def _tells(kind: type[BackendError], text: str) -> Extra:
    async def check(subject: Subject, replay: Replay | None) -> None:
        try:
            await subject.ask(text)
        except kind:
            return
        raise Broken(f"no {kind.__name__}")

    return check


async def _floods(subject: Subject, replay: Replay | None) -> None:
    """More questions at once than it has slots and places in its queue: some are told so, the others answered."""
    asks = (subject.ask("Count from 1 to 100", max_tokens=300) for _ in range(_FLOOD))
    ended = await asyncio.gather(*asks, return_exceptions=True)
    refused = [each for each in ended if isinstance(each, Overloaded)]
    others = [each for each in ended if isinstance(each, BaseException) and not isinstance(each, Overloaded)]
    require(bool(refused) and len(refused) < _FLOOD, f"{len(refused)} of {_FLOOD} were told that the queue is full")
    require(not others, f"told otherwise: {others[:1]}")


_FLOOD = 24
_LONG = "12+34 " * 3000
# By kind, and whether a recording plays: what cannot be brought about on any engine that happens to run.
EXTRAS: dict[tuple[str, bool], dict[str, Extra]] = {
    ("ollama", True): {
        "control_tokens": _sends_no_control_token,
        "overloaded": _tells(Overloaded, "busy"),
    },
    ("vllm", False): {"overloaded": _floods},
    ("sglang", False): {"overloaded": _floods},
    ("sglang", True): {"overloaded": _tells(Overloaded, "queue full")},
    ("openai-compatible", False): {"context_too_long": _tells(ContextTooLong, _LONG)},
    ("deepseek", True): {
        "control_tokens": _sends_no_control_token,
        "context_too_long": _tells(ContextTooLong, _LONG),
        "overloaded": _tells(Overloaded, "busy"),
        "out_of_credit": _tells(OutOfCredit, "no credit"),
    },
}
