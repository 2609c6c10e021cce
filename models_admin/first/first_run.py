"""The first admin's set-up of the box: four steps, each done, skipped or open, seen in rows. Nothing waits here.

What asks a network (an engine, a registry) is a wish in the one row of `FirstRun`: a runner fulfils it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from accounts import invitations, limit_presets
from accounts.invitations import Made
from accounts.limit_presets import Preset
from models_admin import audit
from models_admin.engines import fleet
from models_admin.family import catalogue, pinning
from models_admin.family.model_names import NameRefused
from models_admin.first import first_found, first_models
from models_admin.first.first_models import Proposal, Wish
from models_admin.hosts import hosts, runner_queue
from models_admin.models import Deployment, FirstRun, Host, PullJob

# A registry has 30 s to answer; after so many nobody works on the wish any more.
WISH_SECONDS = 90


class FirstRunError(Exception):
    """Why a step was not taken, as a sentence for whoever took it."""


class Step(StrEnum):
    ENGINES = "engines"
    MODEL = "model"
    LIMITS = "limits"
    PEOPLE = "people"


def row() -> FirstRun:
    return FirstRun.objects.select_related("artifact__model").get_or_create(pk=1)[0]


def _locked() -> FirstRun:
    return FirstRun.objects.select_for_update().get(pk=row().pk)


def is_finished() -> bool:
    return FirstRun.objects.filter(finished_at__isnull=False).exists()


def done(run: FirstRun) -> set[Step]:
    """What has been done, here or elsewhere in the admin."""
    host = fleet.local_host()
    is_served = Deployment.objects.exclude(artifact__ref=fleet.DEMO_MODEL).filter(engine__host=host).exists()
    found = {
        Step.ENGINES: hosts.seen(host) is not None and not first_found.to_attach(host),
        Step.MODEL: not run.model_problem and (_is_on_its_way(run) if run.model_name else is_served),
        Step.LIMITS: bool(run.limits),
        Step.PEOPLE: invitations.still_open().exists(),
    }
    return {step for step, is_done in found.items() if is_done}


def _is_on_its_way(run: FirstRun) -> bool:
    """Whether the chosen model will be, or is, in memory, as far as is known: neither its pull nor its load failed."""
    host = fleet.local_host()
    pull = PullJob.objects.filter(stored__artifact=run.artifact, stored__host=host).order_by("-pk").first()
    loads = Deployment.objects.filter(artifact=run.artifact, engine__host=host)
    has_failed = loads.filter(state__in=[Deployment.State.FAILED, Deployment.State.QUARANTINED]).exists()
    has_ended = pull is not None and pull.state in (PullJob.State.FAILED, PullJob.State.CANCELLED)
    return not has_failed and not has_ended and not is_lost(run.model_asked_at)


def now(run: FirstRun) -> Step | None:
    """The first step that is neither done nor skipped; None where none is left."""
    left = [step for step in Step if step not in done(run) and step not in run.skipped]
    return left[0] if left else None


def proposal(host: Host) -> Proposal | None:
    """None where the machine has not told of itself yet."""
    told = hosts.seen(host)
    return first_models.propose(host, told) if told else None


def wish_for(name: str) -> Wish:
    """What a name means here: a model of the family as this machine would load it, else whatever is called so.

    Raises FirstRunError.
    """
    host, card = fleet.local_host(), catalogue.find(name)
    if card is None or card.repository_named(name) is not None:
        try:
            return Wish(str(pinning.wish_for(name, "").name))
        except NameRefused as error:
            raise FirstRunError(str(error)) from error
    told = hosts.seen(host)
    found = first_models.all_of(host, told).find(card.key) if told else None
    if found is None:
        raise FirstRunError(_("This machine has no way to load %(model)s.") % {"model": card.name})
    if not found.can_be_taken:
        raise FirstRunError(_("%(model)s does not fit into this machine.") % {"model": card.name})
    return found.wish


def is_lost(asked_at: datetime | None) -> bool:
    """Whether nobody can be at work on a wish any more."""
    return asked_at is not None and asked_at < timezone.now() - timedelta(seconds=WISH_SECONDS)


@transaction.atomic
def ask_attach(url: str, *, by: str) -> None:
    """Raises FirstRunError for what is not among the engines that were found."""
    if url not in {each.url for each in first_found.to_attach(fleet.local_host())}:
        raise FirstRunError(_("No engine that can be attached was found there."))
    run = row()
    run.engine_url, run.engine_asked_at, run.engine_problem = url, timezone.now(), ""
    run.asked_by = by
    run.save()
    runner_queue.attach_found()


@transaction.atomic
def choose(wish: Wish, *, by: str) -> None:
    """A runner pulls and loads it; a later wish takes the place of this one."""
    note_choice(wish, by=by)
    runner_queue.add_and_pull()


@transaction.atomic
def note_choice(wish: Wish, *, by: str) -> None:
    """The same, to be fulfilled by whoever notes it."""
    run = row()
    before = run.model_name
    run.model_name, run.model_source, run.engine_kind = wish.name, wish.source, wish.kind
    run.context_tokens, run.slots = wish.context, wish.slots
    run.artifact, run.model_asked_at, run.model_problem = None, timezone.now(), ""
    run.asked_by = by
    run.save()
    audit.record(by, "choose_first_model", run, before=before, after=wish.name)


@transaction.atomic
def limit(preset: Preset, *, by: str, time_zone: str) -> None:
    """Of two at once one comes after the other, so that one limit is left."""
    run = _locked()
    limit_presets.apply(preset, time_zone=time_zone)
    audit.record(by, "limit_everybody", run, before=run.limits, after=preset.name)
    FirstRun.objects.filter(pk=run.pk).update(limits=preset.name)


@transaction.atomic
def invite(*, by: str) -> Made:
    made = invitations.make(by=by)
    audit.record(by, "invite", made.invitation, after=str(made.invitation.uses_left))
    return made


@transaction.atomic
def skip(step: Step) -> None:
    run = _locked()
    run.skipped = sorted({*run.skipped, step})
    run.save(update_fields=["skipped"])


def finish() -> None:
    FirstRun.objects.filter(pk=row().pk, finished_at__isnull=True).update(finished_at=Now())
