"""Fulfils what the set-up of the box wished: asks engines and registries. For runners and the command line only."""

from __future__ import annotations

import asyncio
from datetime import datetime

from django.utils import translation
from django.utils.translation import gettext as _

from accounts.models import User
from models_admin.backends.base import BackendError, Endpoint
from models_admin.backends.drivers import open_driver
from models_admin.engines import fleet
from models_admin.family import artifacts, catalogue
from models_admin.family.artifacts import AddError
from models_admin.first import first_found, first_models
from models_admin.hosts import hosts
from models_admin.hosts.inventory import FoundEngine
from models_admin.loads import attach, deploying, warming
from models_admin.loads.attach import AttachError, Attachment
from models_admin.loads.deploying import DeployError
from models_admin.loads.warming import WarmError
from models_admin.models import Artifact, Engine, FirstRun, Host, StoredArtifact
from models_admin.pulls import pulling
from models_admin.pulls.pulling import PullError

SECONDS = 20


def attach_found() -> None:
    """The engine that was wished; what goes wrong stays in the row as a sentence."""
    run = FirstRun.objects.filter(engine_asked_at__isnull=False).first()
    if run is None:
        return
    found = [each for each in first_found.to_attach(fleet.local_host()) if each.url == run.engine_url]
    with translation.override(_language(run.asked_by)):
        problem = attach_one(found[0]) if found else ""
    same = FirstRun.objects.filter(pk=run.pk, engine_asked_at=run.engine_asked_at)
    same.update(engine_asked_at=None, engine_problem=problem[:500])


def attach_one(found: FoundEngine) -> str:
    """'' or why it was not attached. Of an Ollama, the models of the family that it has; of others, what they serve."""
    try:
        names = asyncio.run(_served(Endpoint(found.url, "", found.kind)))
        if found.kind == Engine.Kind.OLLAMA:
            names = [name for name in names if catalogue.find(name)]
            # An empty one is an engine all the same: it will pull.
            url = {"host": fleet.local_host(), "base_url": found.url}
            Engine.objects.get_or_create(**url, defaults={"kind": found.kind})
        elif not names:
            return _("The engine at %(url)s serves no model.") % {"url": found.url}
        for name in names:
            attach.attach(Attachment(found.url, found.kind, name))
    except (BackendError, TimeoutError) as error:
        about = {"url": found.url, "why": getattr(error, "code", "timeout")}
        return _("The engine at %(url)s does not say what it serves (%(why)s).") % about
    except AttachError as error:
        return str(error)
    return ""


def add_and_pull() -> None:
    """The model that was wished: known, deployed, pulled, then warm. What goes wrong stays in the row."""
    run = FirstRun.objects.filter(model_asked_at__isnull=False).first()
    if run is None or run.model_asked_at is None:
        return
    asked_at, artifact, problem = run.model_asked_at, None, ""
    with translation.override(_language(run.asked_by)):
        try:
            artifact = artifacts.add(run.model_name, source=run.model_source).artifact
            _pull(run, artifact)
        except (AddError, DeployError, PullError, WarmError) as error:
            problem = getattr(error, "code", "") or str(error)
    _note(run, asked_at, artifact, problem)


def _pull(run: FirstRun, artifact: Artifact) -> None:
    """Raises DeployError, PullError, WarmError."""
    host = fleet.local_host()
    deployment = deploying.deploy(
        artifact,
        host,
        by=run.asked_by,
        kind=run.engine_kind,
        context=run.context_tokens,
        slots=run.slots,
        flags=_flags(run, host),
    )
    if StoredArtifact.objects.filter(artifact=artifact, host=host, state=StoredArtifact.State.READY).exists():
        if deployment.state not in (deployment.State.WARM, deployment.State.STARTING):
            warming.warm(deployment, by=run.asked_by)
        return
    job = pulling.ask(artifact, host, by=run.asked_by, then_warm=True)
    if job.state == job.State.PAUSED:
        pulling.resume(job, by=run.asked_by)


def _flags(run: FirstRun, host: Host) -> tuple[tuple[str, str], ...]:
    """Over how many GPUs vLLM and SGLang shall split it."""
    told = hosts.seen(host)
    options = first_models.all_of(host, told).options if told else ()
    parallel = next((each.fit.tensor_parallel for each in options if each.ref == run.model_name), 0)
    return (("--tensor-parallel-size", str(parallel)),) if parallel > 1 else ()


def _note(run: FirstRun, asked_at: datetime, artifact: Artifact | None, problem: str) -> None:
    """A wish that came meanwhile is another one's to fulfil."""
    same = FirstRun.objects.filter(pk=run.pk, model_asked_at=asked_at)
    same.update(model_asked_at=None, artifact=artifact, model_problem=problem[:500])


async def _served(endpoint: Endpoint) -> list[str]:
    """Raises BackendError, TimeoutError."""
    async with asyncio.timeout(SECONDS), open_driver(endpoint) as driver:
        return [row.name for row in await driver.models()]


def _language(person: str) -> str:
    """The sentence is read by whoever wished."""
    known = User.objects.filter(username=person).values_list("language", flat=True).first()
    return known or translation.get_language() or "en"
