"""The promises about the engine itself: what it says of itself, and how it says no."""

from __future__ import annotations

from dataclasses import replace

from models_admin.backends.base import (
    BackendError,
    ContextTooLong,
    Loads,
    ModelMissing,
    Pulls,
    WrongKey,
)
from models_admin.backends.contract_subject import NotHere, Subject, require

# A prompt beyond this would cost a real engine minutes before it says no.
MAX_TRIED_CONTEXT = 40_000


async def health(subject: Subject) -> None:
    told = await subject.driver.health()
    require(told.is_ready, f"not ready: {told.detail}")


async def version(subject: Subject) -> None:
    require(bool((await subject.driver.facts()).build), "no version")


async def models(subject: Subject) -> None:
    names = [row.name for row in await subject.driver.models()]
    require(any(subject.model in name for name in names), f"{subject.model} is not among {names}")


async def inspect(subject: Subject) -> None:
    facts = await subject.driver.inspect(subject.model)
    require(facts.name == subject.model, f"asked for {subject.model}, told of {facts.name}")


async def load_told(subject: Subject) -> None:
    require((await subject.driver.facts()).running is not None, "it does not say how many answers run")


async def memory(subject: Subject) -> None:
    await subject.ask(max_tokens=1)
    loaded = await subject.driver.loaded()
    require(bool(loaded), "nothing is loaded after an answer")
    require(any(row.memory_bytes is not None for row in loaded), "it does not say what its models take")


async def balance(subject: Subject) -> None:
    require(bool((await subject.driver.facts()).balances), "no balance")


async def model_missing(subject: Subject) -> None:
    await _refused(subject, ModelMissing, model="no-such-model")


async def context_too_long(subject: Subject) -> None:
    limit = await _context(subject)
    if limit is None or limit > MAX_TRIED_CONTEXT:
        raise NotHere("the context is not told" if limit is None else f"{limit} tokens are too many to try")
    error = await _refused(subject, ContextTooLong, text="12+34 " * limit, context_tokens=limit)
    told = error.limit if isinstance(error, ContextTooLong) else None
    require(told in (None, limit), f"the limit is {limit}, told was {told}")


async def wrong_key(subject: Subject) -> None:
    endpoint = subject.driver.endpoint
    if not endpoint.key:
        raise NotHere("no key is set")
    other = type(subject.driver)(replace(endpoint, key="wrong"))
    try:
        await _refused(Subject(other, subject.model), WrongKey)
    finally:
        await other.aclose()


async def load_and_unload(subject: Subject) -> None:
    driver = subject.driver
    if not isinstance(driver, Loads):
        raise TypeError("a driver that can load has no load()")
    await driver.unload(subject.model)
    require(not await _is_loaded(subject), "still loaded after unloading")
    await driver.load(subject.model)
    require(await _is_loaded(subject), "not loaded after loading")


async def pull(subject: Subject) -> None:
    """Pulling what is there already ends well, and what is nowhere ends as missing."""
    driver = subject.driver
    if not isinstance(driver, Pulls):
        raise TypeError("a driver that can pull has no pull()")
    statuses = [step.status async for step in driver.pull(subject.model)]
    require(statuses[-1:] == ["success"], f"the last word was {statuses[-1:]}")
    try:
        async for _ in driver.pull("no-such-model:none"):
            pass
    except ModelMissing:
        return
    require(False, "a model that is nowhere was pulled")


async def _refused(subject: Subject, kind: type[BackendError], *, text: str = "hi", **fields: object) -> BackendError:
    try:
        await subject.ask(text, **{"max_tokens": 5, **fields})
    except kind as error:
        return error
    except BackendError as error:
        require(False, f"told as {error.code}: {error}")
    require(False, "it was answered")
    raise AssertionError  # require() has raised


async def _context(subject: Subject) -> int | None:
    loaded = {row.name: row.context_tokens for row in await subject.driver.loaded()}
    context = loaded.get(subject.model) or loaded.get(f"{subject.model}:latest")
    return context or (await subject.driver.facts()).context_tokens


async def _is_loaded(subject: Subject) -> bool:
    names = {row.name for row in await subject.driver.loaded()}
    return bool({subject.model, f"{subject.model}:latest"} & names)
