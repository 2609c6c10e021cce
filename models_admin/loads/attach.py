"""Making a running engine known to the site: its address, key, model and slots."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from models_admin.backends.base import BackendError, BadRequest, Endpoint, Health, WrongKey
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.drivers import DRIVERS, open_driver
from models_admin.backends.facts import EngineFacts
from models_admin.backends.llama_cpp import names_of
from models_admin.engines import engine_address, engine_facts, fleet, secrets
from models_admin.engines.fleet import DEMO_MODEL
from models_admin.family import catalogue, prices
from models_admin.loads.probing import state_by_health
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine

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
    """A wish to attach. None = ask the engine; `key` None = keep the stored one. Context is tokens per slot."""

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


@dataclass(frozen=True)
class Attached:
    deployment: Deployment
    warnings: list[str]


def attach(wish: Attachment, *, must_answer: bool = False) -> Attached:
    """Store engine, model, artifact and deployment; doing it again updates them.

    What the engine's silence or answer gives reason to doubt is a warning, or AttachError with `must_answer`.
    A silent engine's deployment is not warm until a probe finds that it answers.
    """
    url = _checked(wish)
    known = _known_engine(wish, url)
    key = wish.key if wish.key is not None else (secrets.decrypt(known.secret) if known and known.secret else "")
    wish = replace(wish, model=full_name(wish.kind, wish.model), is_cloud=_is_cloud(wish, known))
    try:
        health, facts, warnings = asyncio.run(_probe(Endpoint(url, key, wish.kind), wish.model))
    except BadRequest as error:  # no client can be made for it: where clouds hand out credentials
        raise _no_address(wish) from error
    if must_answer and warnings:
        raise AttachError(warnings[0])
    with transaction.atomic():
        _keep_apart(wish, url)
        engine = _store_engine(known or Engine(host=fleet.local_host()), wish, url, key, facts)
        deployment = _store_deployment(engine, wish, health, facts)
        if engine.kind == Engine.Kind.DEEPSEEK:
            prices.add_known(engine.kind)
    return Attached(deployment, warnings)


def attach_served(engine: Engine, names: Iterable[str]) -> list[Deployment]:
    """Deploy what the engine said that it serves, from its last word: nothing is asked. Raises AttachError."""
    told = engine_facts.stored(engine) or engine_facts.Facts()
    health = Health(engine_facts.is_fresh(engine))
    facts = EngineFacts(slots=told.slots, context_tokens=told.context_tokens)
    with transaction.atomic():
        return [_attach_one(engine, name, health, facts) for name in names if name in told.served]


def _attach_one(engine: Engine, name: str, health: Health, facts: EngineFacts) -> Deployment:
    wish = Attachment(engine.base_url, engine.kind, full_name(engine.kind, name), is_cloud=engine.is_cloud)
    _keep_apart(wish, engine.base_url)
    return _store_deployment(engine, wish, health, facts)


def full_name(kind: str, model: str) -> str:
    """Ollama takes a bare name for its tag `latest`; we write what is meant, so that it can be seen and pinned."""
    has_tag = ":" in model.rpartition("/")[2]
    return model if kind != Engine.Kind.OLLAMA or has_tag else f"{model}:latest"


def _checked(wish: Attachment) -> str:
    """The engine's address in its one form. Raises AttachError."""
    url = engine_address.one_form(wish.url)
    if wish.kind not in DRIVERS:
        kinds = ", ".join(sorted(DRIVERS))
        raise AttachError(
            _("There is no engine of kind “%(kind)s”; use one of: %(kinds)s.") % {"kind": wish.kind, "kinds": kinds}
        )
    if url is None:
        raise _no_address(wish)
    if not wish.model.strip():
        raise AttachError(_("Name the model as the engine calls it."))
    for value, name in (
        (wish.slots, "slots"),
        (wish.context, "context"),
        (wish.tokens_per_second, "tokens-per-second"),
    ):
        if value is not None and value < 1:
            raise AttachError(_("%(name)s is %(value)d; it must be 1 or more.") % {"name": name, "value": value})
    return url


def _no_address(wish: Attachment) -> AttachError:
    return AttachError(_("“%(url)s” is no engine's address; write it like http://127.0.0.1:8080.") % {"url": wish.url})


def _is_cloud(wish: Attachment, known: Engine | None) -> bool:
    """Once a cloud, always one: only the admin's page takes it back, never a word that was left out."""
    return wish.is_cloud or wish.kind == Engine.Kind.DEEPSEEK or bool(known and known.is_cloud)


def _keep_apart(wish: Attachment, url: str) -> None:
    """A name means either a model of our own machines or a cloud's. Raises AttachError."""
    others = Deployment.objects.filter(artifact__model__key=wish.model).exclude(engine__is_cloud=wish.is_cloud)
    if others.exclude(engine__base_url=url).exists():
        raise AttachError(
            _("“%(model)s” is served by another engine already, and one of the two is a cloud.") % {"model": wish.model}
        )


def _known_engine(wish: Attachment, url: str) -> Engine | None:
    if wish.is_launched:
        # The engine of the site's own start may come back on another port.
        engines = Engine.objects.filter(is_launched=True, kind=wish.kind, deployments__artifact__ref=wish.model)
        if engine := engines.first():
            return engine
    return Engine.objects.filter(host=fleet.local_host(), base_url=url).first()


async def _probe(endpoint: Endpoint, model: str) -> tuple[Health, EngineFacts, list[str]]:
    """What the engine says of itself, and what speaks against it."""
    async with open_driver(endpoint) as driver:
        health, facts = await driver.health(), EngineFacts()
        about = {"url": endpoint.base_url, "why": health.detail}
        if not health.is_ready:
            return health, facts, [_("The engine at %(url)s does not answer yet (%(why)s).") % about]
        try:
            served = [name for row in await driver.models() for name in names_of(row.name)]
            facts = await driver.facts()
            loaded = {row.name: row.context_tokens for row in await driver.loaded()}
            facts = replace(facts, context_tokens=facts.context_tokens or loaded.get(model))
        except WrongKey:
            return health, facts, [_("The engine at %(url)s refuses the key.") % about]
        except BackendError as error:
            about["why"] = error.code
            return health, facts, [_("The engine at %(url)s does not say what it serves (%(why)s).") % about]
    if served and model not in served:
        named = {"model": model, "served": ", ".join(served)}
        return health, facts, [_("The engine does not serve “%(model)s”, but %(served)s.") % named]
    return health, facts, []


def _store_engine(engine: Engine, wish: Attachment, url: str, key: str, facts: EngineFacts) -> Engine:
    engine.kind = wish.kind
    engine.base_url = url
    engine.is_launched = wish.is_launched
    engine.is_cloud = wish.is_cloud
    engine.secret = secrets.encrypt(key) if key else ""
    engine.build = facts.build or engine.build
    engine.save()
    return engine


def _store_deployment(engine: Engine, wish: Attachment, health: Health, facts: EngineFacts) -> Deployment:
    name = wish.name or _usual_name(wish.model, is_cloud=engine.is_cloud)
    # The demo model knows one right answer to its exercises; sampling only makes it err.
    temperature = {"temperature": 0.0} if wish.model == DEMO_MODEL else {}
    model, is_new = CatalogueModel.objects.get_or_create(key=wish.model, defaults={"name": name, **temperature})
    if wish.name and not is_new and model.name != wish.name:
        model.name = wish.name
        model.save(update_fields=["name"])
    deployment = Deployment.objects.filter(engine=engine, artifact__ref=wish.model).first()
    artifact = deployment.artifact if deployment else _artifact(wish.model, model)
    deployment = deployment or Deployment(engine=engine, artifact=artifact, slots=0, context_tokens=0)
    slots, context = (CLOUD_SLOTS, CLOUD_CONTEXT) if engine.is_cloud else (DEFAULT_SLOTS, DEFAULT_CONTEXT)
    deployment.slots = wish.slots or facts.slots or deployment.slots or slots
    deployment.context_tokens = wish.context or facts.context_tokens or deployment.context_tokens or context
    deployment.tokens_per_second = wish.tokens_per_second
    state = _state(engine, deployment, health)
    if deployment.state != state:
        deployment.state, deployment.state_since = state, now()
    deployment.save()
    return deployment


def _artifact(ref: str, model: CatalogueModel) -> Artifact:
    found, _is_new = Artifact.objects.get_or_create(source="api", ref=ref, digest="", defaults={"model": model})
    return found


def _state(engine: Engine, deployment: Deployment, health: Health) -> Deployment.State:
    """What loads on demand is cold until it is seen in memory: the probe of the next seconds tells."""
    state = state_by_health(engine, health)
    if state != Deployment.State.WARM or not CAPABILITIES[engine.kind].load:
        return state
    return Deployment.State.STOPPED if deployment._state.adding else Deployment.State(deployment.state)


def _usual_name(model: str, *, is_cloud: bool) -> str:
    """As the catalogue calls it; a cloud's model is whatever the cloud serves under that name."""
    if model == DEMO_MODEL:
        return DEMO_NAME
    card = None if is_cloud else catalogue.find(model)
    return card.name if card else model
