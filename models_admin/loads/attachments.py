"""What an attached engine's model is in the tables. Loads no driver: web servers attach from an engine's last word."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.facts import EngineFacts
from models_admin.engines import engine_facts
from models_admin.engines.fleet import DEMO_MODEL, LOCAL_HOST
from models_admin.family import catalogue
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

StateOf = Callable[[Deployment], Deployment.State]
DEMO_NAME = "R1 Tiny (demo)"
DEFAULT_SLOTS = 4
# Enough for a short thought; R1's long ones want 16,384 and more, where there is memory for it.
DEFAULT_CONTEXT = 8192
# A cloud tells neither; its models of today read a million tokens, and its account allows hundreds of answers at once.
CLOUD_SLOTS = 16
CLOUD_CONTEXT = 131_072


class AttachError(Exception):
    """What is wrong with the wish, as a sentence for the person who made it."""


@dataclass(frozen=True)
class Attachment:
    """A wish to attach. None = ask the engine; `key` None = keep the stored one. Context is tokens per slot.

    `host` is the name of the machine on which the engine runs, so far as it is one of the site's.
    """

    url: str
    kind: str
    model: str
    slots: int | None = None
    context: int | None = None
    key: str | None = field(default=None, repr=False)
    tokens_per_second: int | None = None
    is_launched: bool = False
    is_cloud: bool = False
    name: str = ""
    renames: bool = False
    is_unlisted: bool = False
    host: str = LOCAL_HOST


def attach_served(engine: Engine, names: Iterable[str]) -> list[Deployment]:
    """Deploy what the engine said that it serves, from its last word: nothing is asked. Raises AttachError."""
    told = engine_facts.stored(engine) or engine_facts.Facts()
    facts = EngineFacts(slots=told.slots, context_tokens=told.context_tokens)
    with transaction.atomic():
        return [_attach_one(engine, name, facts) for name in names if name in told.served]


def _attach_one(engine: Engine, name: str, facts: EngineFacts) -> Deployment:
    wish = Attachment(engine.base_url, engine.kind, full_name(engine.kind, name), is_cloud=engine.is_cloud)
    keep_apart(wish, engine.base_url)
    return store(engine, wish, facts, lambda row: _state_of(engine, row))


def _state_of(engine: Engine, row: Deployment) -> Deployment.State:
    """Until the probe of the next seconds tells more."""
    if not row._state.adding:
        return Deployment.State(row.state)
    if CAPABILITIES[engine.kind].load:
        return Deployment.State.STOPPED
    return Deployment.State.WARM if engine_facts.is_fresh(engine) else Deployment.State.FAILED


def full_name(kind: str, model: str) -> str:
    """Ollama takes a bare name for its tag `latest`; we write what is meant, so that it can be seen and pinned."""
    has_tag = ":" in model.rpartition("/")[2]
    return model if kind != Engine.Kind.OLLAMA or has_tag else f"{model}:latest"


def keep_apart(wish: Attachment, url: str) -> None:
    """A name means either a model of our own machines or a cloud's. Raises AttachError."""
    others = Deployment.objects.filter(artifact__model__key=wish.model).exclude(engine__is_cloud=wish.is_cloud)
    if others.exclude(engine__base_url=url).exists():
        raise AttachError(
            _("“%(model)s” is served by another engine already, and one of the two is a cloud.") % {"model": wish.model}
        )


def store(engine: Engine, wish: Attachment, facts: EngineFacts, state_of: StateOf) -> Deployment:
    """The model, its artifact and its deployment, made or brought up to date."""
    name = wish.name or _usual_name(wish.model, is_cloud=engine.is_cloud)
    # The demo model knows one right answer to its exercises; sampling only makes it err.
    temperature = {"temperature": 0.0} if wish.model == DEMO_MODEL else {}
    model, is_new = CatalogueModel.objects.get_or_create(key=wish.model, defaults={"name": name, **temperature})
    if wish.name and wish.renames and not is_new:
        model.name = wish.name
        model.save(update_fields=["name"])
    deployment = Deployment.objects.filter(engine=engine, artifact__ref=wish.model).first()
    artifact = deployment.artifact if deployment else _artifact(wish.model, model)
    deployment = deployment or Deployment(engine=engine, artifact=artifact, slots=0, context_tokens=0)
    slots, context = (CLOUD_SLOTS, CLOUD_CONTEXT) if engine.is_cloud else (DEFAULT_SLOTS, DEFAULT_CONTEXT)
    deployment.slots = wish.slots or facts.slots or deployment.slots or slots
    deployment.context_tokens = wish.context or facts.context_tokens or deployment.context_tokens or context
    deployment.tokens_per_second = wish.tokens_per_second
    state = state_of(deployment)
    if deployment.state != state:
        deployment.state, deployment.state_since = state, now()
    deployment.save()
    return deployment


def _artifact(ref: str, model: CatalogueModel) -> Artifact:
    found, _is_new = Artifact.objects.get_or_create(source="api", ref=ref, digest="", defaults={"model": model})
    return found


def _usual_name(model: str, *, is_cloud: bool) -> str:
    """As the catalogue calls it; a cloud's model is whatever the cloud serves under that name."""
    if model == DEMO_MODEL:
        return DEMO_NAME
    card = None if is_cloud else catalogue.find(model)
    return card.name if card else model
