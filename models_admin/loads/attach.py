"""Making a running engine known to the site: its address, key, model and slots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.backends.base import BackendError, BadRequest, Endpoint, Health, WrongKey
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.backends.drivers import DRIVERS, open_driver
from models_admin.backends.facts import EngineFacts
from models_admin.backends.llama_cpp import names_of
from models_admin.engines import engine_address, fleet, secrets
from models_admin.family import prices
from models_admin.loads.attachments import AttachError as AttachError
from models_admin.loads.attachments import Attachment as Attachment
from models_admin.loads.attachments import full_name as full_name
from models_admin.loads.attachments import keep_apart, store
from models_admin.loads.probing import state_by_health
from models_admin.models import Deployment, Engine, Host


@dataclass(frozen=True)
class Attached:
    deployment: Deployment
    warnings: list[str]


def attach(wish: Attachment, *, must_answer: bool = False) -> Attached:
    """Store engine, model, artifact and deployment; doing it again updates them.

    What the engine's silence or answer gives reason to doubt is a warning, or AttachError with `must_answer`; that it
    serves other models is always one, unless the wish says so. A model that is known keeps its name.
    A silent engine's deployment is not warm until a probe finds that it answers.
    """
    url, host = _checked(wish), _host(wish)
    known = _known_engine(wish, host, url)
    key = wish.key if wish.key is not None else (secrets.decrypt(known.secret) if known and known.secret else "")
    wish = replace(wish, model=full_name(wish.kind, wish.model), is_cloud=_is_cloud(wish, known))
    try:
        health, facts, warnings = asyncio.run(_probe(Endpoint(url, key, wish.kind), wish))
    except BadRequest as error:  # no client can be made for it: where clouds hand out credentials
        raise _no_address(wish) from error
    if must_answer and warnings:
        raise AttachError(warnings[0])
    with transaction.atomic():
        keep_apart(wish, url)
        engine = _store_engine(known or Engine(host=host), wish, url, key, facts)
        deployment = store(engine, wish, facts, lambda row: _state(engine, row, health))
        if engine.kind == Engine.Kind.DEEPSEEK:
            prices.add_known(engine.kind)
    return Attached(deployment, [*warnings, *_name_kept(wish, deployment)])


def _name_kept(wish: Attachment, deployment: Deployment) -> list[str]:
    name = deployment.artifact.model.name
    if wish.name in ("", name):
        return []
    about = {"model": wish.model, "name": name, "wish": wish.name}
    return [
        _(
            "%(model)s is known here as “%(name)s” and keeps that name. "
            "To call it “%(wish)s” everywhere, also in what was used before, add --rename."
        )
        % about
    ]


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


def _host(wish: Attachment) -> Host:
    host = fleet.local_host() if wish.host == fleet.LOCAL_HOST else Host.objects.filter(name=wish.host).first()
    if host is None:
        raise AttachError(_("No host is called “%(name)s”.") % {"name": wish.host})
    return host


def _known_engine(wish: Attachment, host: Host, url: str) -> Engine | None:
    if wish.is_launched:
        # The engine of the site's own start may come back on another port.
        engines = Engine.objects.filter(is_launched=True, kind=wish.kind, deployments__artifact__ref=wish.model)
        if engine := engines.first():
            return engine
    return Engine.objects.filter(host=host, base_url=url).first()


async def _probe(endpoint: Endpoint, wish: Attachment) -> tuple[Health, EngineFacts, list[str]]:
    """What the engine says of itself, and what speaks against it. Raises AttachError."""
    async with open_driver(endpoint) as driver:
        health, facts = await driver.health(), EngineFacts()
        about = {"url": endpoint.base_url, "why": health.detail}
        if not health.is_ready:
            return health, facts, [_("The engine at %(url)s does not answer yet (%(why)s).") % about]
        try:
            served = [name for row in await driver.models() for name in names_of(row.name)]
            facts = await driver.facts()
            loaded = {row.name: row.context_tokens for row in await driver.loaded()}
            facts = replace(facts, context_tokens=facts.context_tokens or loaded.get(wish.model))
        except WrongKey:
            return health, facts, [_("The engine at %(url)s refuses the key.") % about]
        except BackendError as error:
            about["why"] = error.code
            return health, facts, [_("The engine at %(url)s does not say what it serves (%(why)s).") % about]
    if not served or wish.model in served:
        return health, facts, []
    named = {"model": wish.model, "served": ", ".join(served)}
    if wish.is_unlisted:
        return health, facts, [_("The engine does not list “%(model)s”, but %(served)s.") % named]
    # Some engines answer under any name with what they have: that would be taken for the other model.
    raise AttachError(
        _(
            "The engine does not serve “%(model)s”, but %(served)s. Nothing was attached. "
            "Where it takes names that it does not list, add --unlisted."
        )
        % named
    )


def _store_engine(engine: Engine, wish: Attachment, url: str, key: str, facts: EngineFacts) -> Engine:
    engine.kind = wish.kind
    engine.base_url = url
    engine.is_launched = wish.is_launched
    engine.is_cloud = wish.is_cloud
    engine.secret = secrets.encrypt(key) if key else ""
    engine.build = facts.build or engine.build
    engine.save()
    return engine


def _state(engine: Engine, deployment: Deployment, health: Health) -> Deployment.State:
    """What loads on demand is cold until it is seen in memory: the probe of the next seconds tells."""
    state = state_by_health(engine, health)
    if state != Deployment.State.WARM or not CAPABILITIES[engine.kind].load:
        return state
    return Deployment.State.STOPPED if deployment._state.adding else Deployment.State(deployment.state)
