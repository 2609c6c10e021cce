"""Deploying a model's files on a host: on its Ollama, or on a server that the host launches itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from django.db import transaction
from django.utils.translation import gettext as _

from models_admin import audit
from models_admin.engines import fleet, secrets
from models_admin.family import catalogue
from models_admin.fit import memory_fit
from models_admin.hosts import engine_keys, hosts, pull_plan
from models_admin.loads import warm_orders
from models_admin.models import Artifact, Deployment, Engine, Host, Launch
from models_admin.servers import launch_flags

FIRST_PORT, LAST_PORT = 18_100, 18_999
USUAL_SLOTS = 4
MOST_SLOTS, LEAST_CONTEXT, MOST_CONTEXT = 512, 256, 1_048_576
LAUNCHED = (Engine.Kind.VLLM, Engine.Kind.SGLANG, Engine.Kind.LLAMA_CPP)


class DeployError(Exception):
    """Why this cannot be deployed like that, as a sentence for whoever asked."""


def deploy(
    artifact: Artifact,
    host: Host,
    *,
    by: str,
    kind: str = "",
    context: int = 0,
    slots: int = 0,
    flags: Iterable[tuple[str, str]] = (),
    gpus: Sequence[int] = (),
    idle_seconds: int | None = None,
) -> Deployment:
    """The stopped deployment of these files there, made where there is none. Raises DeployError.

    `kind` '' is what such files usually run on; 0 for `context` (tokens per slot) and `slots` the usual ones. What is
    deployed already keeps its settings while it is in memory.
    """
    kind = kind or usual_kind(artifact, host)
    context, slots = _sizes(artifact, context, slots)
    try:
        checked = launch_flags.check(kind, list(flags)) if kind in LAUNCHED else ()
    except launch_flags.FlagRefused as error:
        raise DeployError(str(error)) from error
    if unknown := [number for number in gpus if not _has_card(host, number)]:
        about = {"host": fleet.shown_name(host), "number": unknown[0]}
        raise DeployError(_("There is no GPU %(number)d on %(host)s.") % about)
    with transaction.atomic():
        # Two who deploy at once get one deployment, and two deployments two ports.
        Host.objects.select_for_update().get(pk=host.pk)
        row = _known(artifact, host, kind)
        if row is None:
            row = _made(artifact, host, kind)
            audit.record(by, "deploy", row, after=f"{context} × {slots}")
        elif row.state in (Deployment.State.WARM, Deployment.State.STARTING, Deployment.State.DRAINING):
            return row
        row.context_tokens, row.slots, row.idle_seconds = context, slots, idle_seconds
        row.expected_bytes = None
        row.save(update_fields=["context_tokens", "slots", "idle_seconds", "expected_bytes"])
        if kind in LAUNCHED:
            Launch.objects.filter(deployment=row).update(flags=[list(pair) for pair in checked], gpus=list(gpus))
    return Deployment.objects.select_related("engine__host", "artifact__model", "launch").get(pk=row.pk)


def usual_kind(artifact: Artifact, host: Host) -> str:
    """Raises DeployError where nothing on that host runs such files."""
    if artifact.source == Artifact.Source.OLLAMA:
        return Engine.Kind.OLLAMA
    if artifact.source == Artifact.Source.GGUF or artifact.ref.lower().endswith(".gguf"):
        return Engine.Kind.LLAMA_CPP
    told = hosts.seen(host)
    programs = {program.name for program in told.programs} if told else set()
    for kind in (Engine.Kind.VLLM, Engine.Kind.SGLANG):
        if kind.value in programs:
            return kind
    raise DeployError(
        _("%(host)s has neither vLLM nor SGLang, which %(model)s would run on. Take a GGUF of it, or install one.")
        % {"host": fleet.shown_name(host), "model": artifact.ref}
    )


def _sizes(artifact: Artifact, context: int, slots: int) -> tuple[int, int]:
    card = catalogue.first_of((artifact.model.key, artifact.ref))
    longest = card.context if card else MOST_CONTEXT
    context, slots = context or min(memory_fit.USUAL_CONTEXT, longest), slots or USUAL_SLOTS
    if not LEAST_CONTEXT <= context <= longest:
        raise DeployError(
            _("The context must be %(least)d to %(most)d tokens.") % {"least": LEAST_CONTEXT, "most": longest}
        )
    if not 1 <= slots <= MOST_SLOTS:
        raise DeployError(_("Answers at once must be 1 to %(most)d.") % {"most": MOST_SLOTS})
    return context, slots


def _has_card(host: Host, number: int) -> bool:
    told = hosts.seen(host)
    return told is not None and 0 <= number < len(told.gpus)


def _known(artifact: Artifact, host: Host, kind: str) -> Deployment | None:
    if kind in LAUNCHED:
        rows = Deployment.objects.filter(artifact=artifact, engine__host=host, engine__kind=kind, launch__isnull=False)
        return rows.order_by("pk").first()
    # An Ollama has one model behind a name, whether it was attached or is pulled.
    row = Deployment.objects.filter(engine=pull_plan.ollama_of(host), artifact__ref=artifact.ref).order_by("pk").first()
    if row is not None and row.artifact_id != artifact.pk:
        row.artifact = artifact
        row.save(update_fields=["artifact"])
    return row


def _made(artifact: Artifact, host: Host, kind: str) -> Deployment:
    engine = _launched_engine(host, kind) if kind in LAUNCHED else pull_plan.ollama_of(host)
    if engine is None or kind not in (*LAUNCHED, Engine.Kind.OLLAMA):
        raise DeployError(_("No Ollama is attached on %(host)s.") % {"host": fleet.shown_name(host)})
    row = Deployment.objects.create(
        engine=engine, artifact=artifact, context_tokens=LEAST_CONTEXT, slots=1, state=Deployment.State.STOPPED
    )
    if engine.is_launched:
        Launch.objects.create(deployment=row, program=kind, port=port_of(engine.base_url))
        engine.secret = secrets.encrypt(engine_keys.key_of(engine_keys.secret_of(host), row.pk))
        engine.save(update_fields=["secret"])
    return row


def _launched_engine(host: Host, kind: str) -> Engine:
    url = free_url(host)
    if url is None:
        raise DeployError(_("There is no port left on %(host)s for another server.") % {"host": fleet.shown_name(host)})
    return Engine.objects.create(host=host, kind=kind, base_url=url, is_launched=True)


def free_url(host: Host) -> str | None:
    """An address there that no engine has yet; hosts behind one address share its ports. None where all are taken."""
    taken = set(Engine.objects.values_list("base_url", flat=True))
    urls = (_url(host, port) for port in range(FIRST_PORT, LAST_PORT + 1))
    return next((url for url in urls if url not in taken), None)


def follow(host: Host) -> None:
    """Its launched servers listen where it is now: nothing is asked of whoever has its old address."""
    for launch in Launch.objects.filter(deployment__engine__host=host).select_related("deployment"):
        Engine.objects.filter(pk=launch.deployment.engine_id).update(base_url=_url(host, launch.port))


def move(row: Deployment) -> None:
    """To another port: on its host a program that the site does not know has this one."""
    if url := free_url(row.engine.host):
        Engine.objects.filter(pk=row.engine_id).update(base_url=url)
        Launch.objects.filter(deployment=row).update(port=port_of(url))


def _url(host: Host, port: int) -> str:
    address = host.address or warm_orders.LOOPBACK
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def port_of(url: str) -> int:
    return int(url.rpartition(":")[2])
