"""What is under way with a model or a deployment, and which verbs a person may press on it now. No HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_admin.engines import fleet
from models_admin.family.sentences import filled, listed
from models_admin.loads import outlook
from models_admin.models import CatalogueModel, Deployment, Pin, PullJob, StoredArtifact
from models_admin.pages import host_view, model_state, model_verbs, pin_words
from models_admin.pages.model_state import Told
from models_admin.pages.model_verbs import VERBS, Person

State = Deployment.State
OF_PULLS = {
    PullJob.State.PLANNED: ("pause", "cancel"),
    PullJob.State.RUNNING: ("pause", "cancel"),
    PullJob.State.PAUSED: ("resume", "cancel"),
    PullJob.State.FAILED: ("retry",),
    PullJob.State.CANCELLED: ("retry",),
}
OF_HELD = ("start", "cancel")
QUIET = {"cancel", "delete_files", "unpin"}


@dataclass(frozen=True)
class Button:
    """A verb to press on a row."""

    verb: str
    pk: int
    label: str
    look: str


@dataclass(frozen=True)
class Line:
    """A thing under way, or at rest: its name, state, and the buttons for this person. `key` tells it on the page.

    `deployment` leads to its page and to a pin, for whoever may.
    """

    key: str
    name: str
    told: Told
    buttons: tuple[Button, ...] = ()
    deployment: Deployment | None = None
    may_pin: bool = False


@dataclass(frozen=True)
class Work:
    deployments: tuple[Line, ...]
    files: tuple[Line, ...]


def of(model: CatalogueModel, person: Person) -> Work:
    """All of a model. Wants `catalogue_view.WITH_ROWS` at hand."""
    artifacts = list(model.artifacts.all())
    deployments = (row for each in artifacts for row in each.deployments.all())
    stored = (row for each in artifacts for row in each.stored_artifacts.all())
    return Work(
        tuple(of_deployment(row, person) for row in deployments),
        tuple(line for row in stored if (line := of_files(row, person))),
    )


def of_deployment(row: Deployment, person: Person) -> Line:
    engine = listed((host_view.engine_name(row.engine), fleet.place_of(row.engine)))
    name = f"{engine} · {row.artifact.quantisation}" if row.artifact.quantisation else engine
    buttons = (_button(verb, row.pk, person) for verb in _verbs(row))
    pins = (_button("unpin", pin.pk, person, _unpin(pin)) for pin in pin_words.holding(row.pins.all()))
    return Line(
        f"deployment-{row.pk}",
        name,
        model_state.of_deployment(row),
        tuple(each for each in (*buttons, *pins) if each),
        row,
        not row.engine.is_cloud and person.has_perm("models_admin.add_pin"),  # type: ignore[union-attr]
    )


def of_files(stored: StoredArtifact, person: Person) -> Line | None:
    """None where they neither lie there nor are on their way."""
    where = {"host": fleet.shown_name(stored.host), "size": model_state.short(stored.artifact.bytes)}
    name = stored.artifact.ref
    key, job = f"files-{stored.pk}", model_state.last_pull(stored)
    if stored.state == StoredArtifact.State.READY:
        told = Told("warm", filled(_("files on %(host)s, verified, %(size)s"), where))
        return Line(key, name, told, _buttons(["delete_files"], stored.pk, person))
    if told_of := model_state.of_deletion(stored):
        is_over = stored.state == StoredArtifact.State.BROKEN
        return Line(key, name, told_of, _buttons(["delete_files"] if is_over else [], stored.pk, person))
    if job is None or job.state == PullJob.State.DONE:
        return None
    if job.state == PullJob.State.CANCELLED:
        told = Told("cold", filled(_("cancelled on %(host)s"), where))
        return Line(key, name, told, _buttons(OF_PULLS[PullJob.State.CANCELLED], job.pk, person))
    return Line(key, name, model_state.of_pull(job), _buttons(_pull_verbs(job), job.pk, person))


def open_pulls(person: Person) -> tuple[Line, ...]:
    """All that is on its way to any host."""
    jobs = PullJob.objects.filter(state__in=PullJob.OPEN).select_related("stored__artifact__model", "stored__host")
    return tuple(_of_job(job, person) for job in jobs.order_by("pk"))


def _of_job(job: PullJob, person: Person) -> Line:
    name = listed((job.stored.artifact.model.name, job.stored.artifact.quantisation))
    buttons = _buttons(_pull_verbs(job), job.pk, person)
    return Line(f"pull-{job.pk}", name, model_state.of_pull(job), buttons)


def _pull_verbs(job: PullJob) -> Iterable[str]:
    return OF_HELD if job.is_held else OF_PULLS[PullJob.State(job.state)]


def _verbs(row: Deployment) -> Iterable[str]:
    """Those that make sense in its state; who presses a moment too late is told."""
    if not outlook.is_loadable(row):
        return ("measure",) if row.state == State.WARM else ()
    if row.state == State.WARM:
        return ("measure", "unload")
    if row.state == State.STARTING:
        return ("unload",)
    return () if row.state == State.DRAINING or _lacks_files(row) else ("warm",)


def _lacks_files(row: Deployment) -> bool:
    """Whether its files are on their way to its host, or did not come."""
    here = (each for each in row.artifact.stored_artifacts.all() if each.host_id == row.engine.host_id)
    return any(each.state != StoredArtifact.State.READY for each in here)


def _unpin(pin: Pin) -> str:
    return _("Unpin (%(person)s)") % {"person": pin.owner}


def _buttons(verbs: Iterable[str], pk: int, person: Person) -> tuple[Button, ...]:
    return tuple(each for verb in verbs if (each := _button(verb, pk, person)))


def _button(verb: str, pk: int, person: Person, label: str = "") -> Button | None:
    if not model_verbs.may(person, verb):
        return None
    return Button(verb, pk, label or str(VERBS[verb].label), "quiet" if verb in QUIET else "")
