"""What an admin does with models on hosts: each verb with its right, what it calls, and what takes it back.

The pages and the command press them here. Nothing waits for a host or a network; each is written down in the audit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.core.exceptions import PermissionDenied
from django.db import models
from django.utils.functional import Promise as LazyText
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.engines import fleet, row_locks
from models_admin.loads import deploying, warming
from models_admin.models import Artifact, Deployment, Host, Pin, PullJob, StoredArtifact
from models_admin.pages.plan_view import Wish
from models_admin.pulls import deleting, pull_words, pulling

Person = AbstractBaseUser | AnonymousUser
Text = str | LazyText
RIGHTS: Final = {
    Deployment: "models_admin.change_deployment",
    PullJob: "models_admin.change_pulljob",
    StoredArtifact: "models_admin.delete_storedartifact",
    Pin: "models_admin.delete_pin",
}


class VerbRefused(Exception):
    """Why it was not done, as a sentence for whoever pressed."""


@dataclass(frozen=True)
class Undo:
    """What takes it back: a verb and the row that it is pressed on."""

    verb: str
    pk: int
    label: str


@dataclass(frozen=True)
class Page:
    """Where to look on: the deployment's page."""

    deployment: int
    label: str


@dataclass(frozen=True)
class Done:
    """A sentence of what happened, what takes it back where something does, and where its outcome is seen."""

    words: str
    undo: Undo | None = None
    page: Page | None = None


@dataclass(frozen=True)
class Verb:
    """`act(row, by, why)` does it. `told` is filled with `name`; `loses` is said before it, '' = nothing is lost.

    `whole` is its name on a page of its own, where the label alone may mean something else. `page_label` leads to the
    page of the deployment.
    """

    label: Text
    of: type[models.Model]
    act: Callable[[Any, str, str], models.Model | None]
    told: Text
    undo: str = ""
    undo_label: Text = ""
    loses: Text = ""
    whole: Text = ""
    right: str = ""
    page_label: Text = ""

    @property
    def title(self) -> Text:
        return self.whole or self.label

    @property
    def permission(self) -> str:
        return self.right or RIGHTS[self.of]


VERBS: Final[dict[str, Verb]] = {
    "warm": Verb(
        gettext_lazy("Warm"), Deployment, lambda row, by, why: warming.warm(row, by=by, why=why),
        gettext_lazy("%(name)s is being loaded."), "unload", gettext_lazy("Unload"),
    ),
    "unload": Verb(
        gettext_lazy("Unload"), Deployment, lambda row, by, why: warming.unload(row, by=by, why=why),
        gettext_lazy("%(name)s is being unloaded."), "warm", gettext_lazy("Warm again"),
    ),
    "measure": Verb(
        gettext_lazy("Measure"), Deployment, lambda row, by, why: warming.measure(row, by=by),
        gettext_lazy("%(name)s is being measured."), page_label=gettext_lazy("Its figures"),
    ),
    "unpin": Verb(
        gettext_lazy("Unpin"), Pin, lambda row, by, why: warming.unpin(row, by=by),
        gettext_lazy("%(name)s is pinned no more."),
    ),
    "pause": Verb(
        gettext_lazy("Pause"), PullJob, lambda row, by, why: pulling.pause(row, by=by, why=why),
        gettext_lazy("The pull of %(name)s is paused."), "resume", gettext_lazy("Resume"),
    ),
    "resume": Verb(
        gettext_lazy("Resume"), PullJob, lambda row, by, why: pulling.resume(row, by=by, why=why),
        gettext_lazy("The pull of %(name)s goes on."), "pause", gettext_lazy("Pause"),
    ),
    "start": Verb(
        gettext_lazy("Start now"), PullJob, lambda row, by, why: pulling.start(row, by=by, why=why),
        gettext_lazy("The pull of %(name)s starts now."), "pause", gettext_lazy("Pause"),
    ),
    "cancel": Verb(
        gettext_lazy("Cancel"), PullJob, lambda row, by, why: pulling.cancel(row, by=by, why=why),
        gettext_lazy("The pull of %(name)s is cancelled."), "retry", gettext_lazy("Retry"),
        loses=gettext_lazy("What came so far is removed from the host."),
        whole=gettext_lazy("Cancel the pull"),
    ),
    "retry": Verb(
        gettext_lazy("Retry"), PullJob, lambda row, by, why: pulling.retry(row, by=by),
        gettext_lazy("%(name)s is being pulled again."), "cancel", gettext_lazy("Cancel"),
    ),
    "delete_files": Verb(
        gettext_lazy("Delete files"), StoredArtifact,
        lambda row, by, why: deleting.remove_files(row.artifact, row.host, by=by, why=why),
        gettext_lazy("The files of %(name)s are being removed."), "pull", gettext_lazy("Pull again"),
        loses=gettext_lazy("The files are removed from the host. To have them back means to pull them again."),
    ),
    "pull": Verb(
        gettext_lazy("Pull"), StoredArtifact, lambda row, by, why: pulling.ask(row.artifact, row.host, by=by),
        gettext_lazy("%(name)s is being pulled."), "cancel", gettext_lazy("Cancel"),
        right="models_admin.change_pulljob",
    ),
}  # fmt: skip
_RELATED: Final = {
    Deployment: ("artifact__model", "engine__host"),
    PullJob: ("stored__artifact__model", "stored__host"),
    StoredArtifact: ("artifact__model", "host"),
    Pin: ("deployment__artifact__model", "deployment__engine__host"),
}
assert all(not verb.undo or verb.undo in VERBS for verb in VERBS.values())


def may(person: Person, verb: str) -> bool:
    return bool(person.has_perm(VERBS[verb].permission))  # type: ignore[union-attr]


def find(verb: str, pk: int) -> Any:
    """The row that the verb is pressed on. Raises ObjectDoesNotExist."""
    kind = VERBS[verb].of
    return kind._default_manager.select_related(*_RELATED[kind]).get(pk=pk)


def press(person: Person, verb: str, pk: int, *, why: str = "") -> Done:
    """Raises PermissionDenied, ObjectDoesNotExist, or VerbRefused."""
    if not may(person, verb):
        raise PermissionDenied
    return act(verb, find(verb, pk), by=person.get_username(), why=why)


def act(verb: str, row: Any, *, by: str, why: str = "") -> Done:
    """Who may is the caller's to have asked. Raises VerbRefused."""
    known = VERBS[verb]
    try:
        made = row_locks.again_after_conflict(lambda: known.act(row, by, why))
    except (warming.WarmError, pulling.PullError, deploying.DeployError, deleting.DeleteError) as error:
        raise VerbRefused(str(error)) from error
    page = Page(row.pk, str(known.page_label)) if known.page_label else None
    return Done(str(known.told) % {"name": name(row)}, _undo(known, made, row), page)


def name(row: Any) -> str:
    """The model that a row is about, and where."""
    if isinstance(row, PullJob):
        return name(row.stored)
    if isinstance(row, Pin):
        return name(row.deployment)
    host = row.host if isinstance(row, StoredArtifact) else row.engine.host
    return _("%(model)s on %(host)s") % {"model": row.artifact.model.name, "host": fleet.shown_name(host)}


def _undo(verb: Verb, *rows: models.Model | None) -> Undo | None:
    """Pressed on what the verb left behind, else on what it was pressed on: whichever its opposite is for."""
    fitting = (row for row in rows if verb.undo and isinstance(row, VERBS[verb.undo].of))
    row = next(fitting, None)
    return Undo(verb.undo, row.pk, str(verb.undo_label)) if row else None


def have(person: Person, wish: Wish, host: Host, *, then_warm: bool, not_before: datetime | None = None) -> Done:
    """The files on that host, and warm when they are there if asked. Raises PermissionDenied, VerbRefused."""
    if not may(person, "pull") or (then_warm and not may(person, "warm")):
        raise PermissionDenied
    return order(wish, host, by=person.get_username(), then_warm=then_warm, not_before=not_before)


def order(wish: Wish, host: Host, *, by: str, then_warm: bool, not_before: datetime | None = None) -> Done:
    """The same, where who may is asked elsewhere. Raises VerbRefused."""
    if not_before is not None and is_there(wish.artifact, host):
        raise VerbRefused(_("%(model)s is there already.") % {"model": wish.artifact.model.name})
    try:
        if then_warm:
            deployment = row_locks.again_after_conflict(
                lambda: deploying.deploy(
                    wish.artifact, host, by=by, kind=wish.kind, context=wish.context, slots=wish.slots,
                    flags=wish.flags, gpus=wish.gpus,
                )
            )  # fmt: skip
            if is_there(wish.artifact, host):
                return act("warm", deployment, by=by)
        job = row_locks.again_after_conflict(
            lambda: pulling.ask(wish.artifact, host, by=by, then_warm=then_warm, not_before=not_before)
        )
    except (warming.WarmError, pulling.PullError, deploying.DeployError, deleting.DeleteError) as error:
        raise VerbRefused(str(error)) from error
    return Done(_told(job, host, then_warm=then_warm), Undo("cancel", job.pk, str(VERBS["cancel"].label)))


def _told(job: PullJob, host: Host, *, then_warm: bool) -> str:
    about = {
        "model": job.stored.artifact.model.name,
        "host": fleet.shown_name(host),
        "time": pull_words.planned_for(job),
    }
    if job.is_held:
        later = _("%(model)s is pulled to %(host)s at %(time)s.")
        return (_("%(model)s is pulled to %(host)s at %(time)s, then warmed.") if then_warm else later) % about
    now = _("%(model)s is pulled to %(host)s.")
    return (_("%(model)s is pulled to %(host)s, then warmed.") if then_warm else now) % about


def is_there(artifact: Artifact, host: Host) -> bool:
    """Whether its files lie on the host, verified or put there by its owner."""
    ready = StoredArtifact.objects.filter(artifact=artifact, host=host, state=StoredArtifact.State.READY)
    return artifact.ref.startswith("/") or ready.exists()
