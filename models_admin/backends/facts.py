"""What engines say of themselves: what they can do, what they serve, what is loaded, how a pull goes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What can be asked of an engine at all. Everything else is not offered, instead of failing when it is tried.

    `sampling`: temperature and top-p have an effect. `tells_memory`: `loaded()` knows bytes. `tells_load`:
    `facts()` knows how many answers run. `any_schema`: JSON by a schema, not only some JSON. `has_key`: the engine
    itself can ask for a key.
    """

    has_key: bool = True
    tells_version: bool = True
    thinking_off: bool = False
    continue_answer: bool = False
    continue_thinking: bool = False
    seed: bool = False
    sampling: bool = True
    json_object: bool = False
    any_schema: bool = False
    tools: bool = False
    effort: bool = False
    count_prompt: bool = False
    tells_load: bool = False
    tells_memory: bool = False
    load: bool = False
    pull: bool = False
    balance: bool = False


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model as the engine lists it; `context_tokens` for one answer, `digest` of its files, `bytes` on disk."""

    name: str
    context_tokens: int | None = None
    digest: str = ""
    bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Balance:
    """Money left on the account behind a key, in millionths of `currency`."""

    currency: str
    micro: int


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """What an engine says of itself; None where it says nothing. Context is tokens per slot.

    `running` and `waiting` count answers. `is_in_credit` False: the account is used up.
    """

    slots: int | None = None
    context_tokens: int | None = None
    build: str = ""
    running: int | None = None
    waiting: int | None = None
    balances: tuple[Balance, ...] = ()
    is_in_credit: bool = True


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One model as its engine knows it. `thinks` None: it does not say. `source`: the file or repository behind it."""

    name: str
    context_tokens: int | None = None
    parameters: int | None = None
    quantisation: str = ""
    digest: str = ""
    source: str = ""
    thinks: bool | None = None
    uses_tools: bool | None = None


@dataclass(frozen=True, slots=True)
class LoadedModel:
    """A model in memory. Bytes None where the engine does not tell; `memory_bytes` is all it takes, `gpu_bytes` of it.

    `idle_seconds` until it is unloaded when nobody asks; None = it stays.
    """

    name: str
    context_tokens: int | None = None
    memory_bytes: int | None = None
    gpu_bytes: int | None = None
    kv_bytes: int | None = None
    digest: str = ""
    idle_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class PullStep:
    """A word from a download: `done` and `total` bytes of the file `digest`, 0 where the engine names none."""

    status: str
    digest: str = ""
    done: int = 0
    total: int = 0
