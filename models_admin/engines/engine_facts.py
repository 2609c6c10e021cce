"""What a running engine says of itself, kept with its age; and what is no longer as it was.

Its word goes before what was typed: a deployment never promises more slots or context than its engine has.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone

from models_admin.backends.base import BackendError, Driver
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import Balance, LoadedModel, ModelFacts
from models_admin.engines import row_locks
from models_admin.family import expected_memory
from models_admin.models import Engine, EngineChange

What = EngineChange.What
# Longer than this and the figures are told as old.
FRESH_SECONDS = 120
# What stands where a version or a file's name belongs is kept with every look, and drawn in the admin.
MAX_WORDS = 200
MAX_BALANCES = 10
MOST_SERVED = 50


class SeenModel(msgspec.Struct, frozen=True):
    """A deployed model as its engine has it. `identity` changes when other weights stand behind the same name."""

    name: str
    identity: str = ""
    context_tokens: int | None = None
    memory_bytes: int | None = None
    gpu_bytes: int | None = None
    is_loaded: bool = True
    thinks: bool | None = None
    uses_tools: bool | None = None


class Facts(msgspec.Struct, frozen=True):
    """What one look at an engine brought; stored as JSON in `Engine.facts`.

    `served` names what it could answer for, asked only while nothing of it is deployed.
    """

    version: str = ""
    slots: int | None = None
    context_tokens: int | None = None
    running: int | None = None
    waiting: int | None = None
    is_in_credit: bool = True
    balances: tuple[Balance, ...] = ()
    models: tuple[SeenModel, ...] = ()
    served: tuple[str, ...] = ()


@dataclass(frozen=True)
class Change:
    what: str
    before: str
    after: str


async def read(driver: Driver, names: list[str]) -> Facts:
    """One look at an engine; `names` are the models deployed on it. Raises BackendError."""
    told = await driver.facts()
    loaded = {row.name: row for row in await driver.loaded()}
    served = () if names else tuple(row.name[:MAX_WORDS] for row in await driver.models())[:MOST_SERVED]
    models = [seen for name in names if (seen := await _seen(driver, name, loaded.get(name)))]
    return Facts(
        told.build[:MAX_WORDS],
        told.slots,
        None if driver.capabilities.load else told.context_tokens,  # that of whatever is loaded just now
        told.running,
        told.waiting,
        told.is_in_credit,
        told.balances[:MAX_BALANCES],
        tuple(models),
        served,
    )


async def _seen(driver: Driver, name: str, here: LoadedModel | None) -> SeenModel | None:
    try:
        about = await driver.inspect(name)
    except BackendError:  # gone: told by the question itself when somebody asks for it
        return None
    context = here.context_tokens if here else None
    memory, gpu = (here.memory_bytes, here.gpu_bytes) if here else (None, None)
    # What can't load on demand has its models in memory; llama.cpp lists them under the path of their file.
    is_loaded = here is not None or not driver.capabilities.load
    return SeenModel(name, _identity(about), context, memory, gpu, is_loaded, about.thinks, about.uses_tools)


def stored(engine: Engine) -> Facts | None:
    """The last look; None where there was none, or it was stored in another shape."""
    try:
        return msgspec.convert(engine.facts, Facts) if engine.facts else None
    except msgspec.ValidationError:
        return None


def is_fresh(engine: Engine) -> bool:
    return engine.facts_at is not None and (timezone.now() - engine.facts_at).total_seconds() < FRESH_SECONDS


def note(engine_id: int, facts: Facts) -> None:
    """Store a look, a row for each change since the last one, and what the engine's word means for deployments."""
    with transaction.atomic():
        engine = Engine.objects.select_for_update(no_key=True).filter(pk=engine_id).first()
        if engine is None:
            return
        before = stored(engine)
        if before is not None:
            changes = changes_between(before, facts)
            EngineChange.objects.bulk_create(
                EngineChange(engine=engine, what=each.what, before=each.before[:200], after=each.after[:200])
                for each in changes
            )
        engine.facts, engine.facts_at = msgspec.to_builtins(facts), Now()
        engine.build = facts.version[:120] or engine.build
        engine.save(update_fields=["facts", "facts_at", "build"])
        _hold_to(engine, facts)


def changes_between(before: Facts, after: Facts) -> list[Change]:
    """What is no longer as it was; what an engine has stopped or begun to tell is no change."""
    pairs = [
        (What.VERSION, before.version, after.version),
        (What.SLOTS, before.slots, after.slots),
        (What.CONTEXT, before.context_tokens, after.context_tokens),
    ]
    known = {model.name: model.identity for model in before.models}
    pairs += [(What.MODEL, known[model.name], model.identity) for model in after.models if known.get(model.name)]
    return [Change(what, str(old), str(new)) for what, old, new in pairs if old and new and old != new]


def _hold_to(engine: Engine, facts: Facts) -> None:
    """Never more slots or context than there are; memory as the engine counts it."""
    deployments = engine.deployments.all()
    row_locks.lock(deployments)
    # Where models are loaded on demand, each question chooses the context: what is loaded bounds nothing.
    is_bound = not CAPABILITIES[engine.kind].load
    if facts.slots:
        deployments.filter(slots__gt=facts.slots).update(slots=facts.slots)
    for model in facts.models:
        ours = deployments.filter(artifact__ref=model.name)
        context = model.context_tokens or facts.context_tokens
        if context and is_bound:
            ours.filter(context_tokens__gt=context).update(context_tokens=context)
        if model.memory_bytes:
            for row in ours.select_related("engine", "artifact__model"):
                row.measured_bytes = model.memory_bytes
                row.expected_bytes = expected_memory.of(row, has_gpu=bool(model.gpu_bytes)) or row.expected_bytes
                row.save(update_fields=["measured_bytes", "expected_bytes"])


def _identity(about: ModelFacts) -> str:
    """By digest where there is one; else by what stands behind the name."""
    parts = (about.source, about.quantisation, str(about.parameters or ""))
    return (about.digest or " · ".join(part for part in parts if part))[:MAX_WORDS]
