"""The set-up of the box in words: what a model would take, how far it is, what each limit means."""

from __future__ import annotations

import re
from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts.limit_presets import Preset
from models_admin.engines import fleet
from models_admin.family import pinning
from models_admin.first import first_run
from models_admin.first.first_models import PEOPLE, Option, Proposal
from models_admin.fit.memory_fit import USUAL_CONTEXT
from models_admin.loads import warm_words
from models_admin.models import Deployment, FirstRun, PullJob
from models_admin.pages.catalogue_view import gibibytes, gigabytes
from models_admin.pulls import pull_words

State = Deployment.State


@dataclass(frozen=True)
class Progress:
    """How far the chosen model is. `percent` None: not known. `look` is loading, warm, waiting or gone."""

    title: str
    about: str
    look: str
    percent: int | None = None

    @property
    def is_moving(self) -> bool:
        return self.look == "loading"


def model_lead(found: Proposal | None) -> str:
    if found is None:
        return _("This machine has not told of itself yet. It does so some seconds after the start of the site.")
    if found.suggested is None:
        return _("None of the R1 models fits into this machine with room to think. Other machines can be added later.")
    about = {"context": f"{USUAL_CONTEXT // 1024}k", "people": PEOPLE}
    lead = _("The largest R1 that fits with %(context)s context for %(people)d people at once.") % about
    if found.way.leaves_gpus:
        return _("%(lead)s No engine here uses the GPUs: attach Ollama, or install vLLM or llama-server.") % {
            "lead": lead
        }
    if not found.way.gpus:
        return _("%(lead)s Larger ones would be too slow on the processor.") % {"lead": lead}
    return lead


def name(option: Option) -> str:
    """'R1 32B, 4 bit'."""
    bits = re.search(r"\d+", option.quantisation)
    about = {"model": option.card.name, "bits": bits[0] if bits else "16"}
    return _("%(model)s, %(bits)s bit") % about


def verdict(option: Option) -> str:
    if option.missing_disk:
        return _("no room on the disk")
    return {"fits": _("fits"), "tight": _("tight"), "slow": _("slow"), "no": _("does not fit")}[option.look]


def about(option: Option, way_bytes: int) -> str:
    """Sentences: the disk, then the memory. `way_bytes` are all that the models may have."""
    told = _("%(size)s on disk") % {"size": gigabytes(option.disk_bytes)}
    if option.missing_disk:
        return _("%(told)s, of which %(missing)s are missing.") % {
            "told": told, "missing": gigabytes(option.missing_disk)
        }  # fmt: skip
    if option.look in ("no", "slow"):
        sentence = _("%(told)s.") % {"told": told}
        return _both(sentence, _slow(option)) if option.look == "slow" else sentence
    used = {"told": told, "used": gibibytes(option.fit.total).removesuffix(" GiB"), "all": gibibytes(way_bytes)}
    sentence = _("%(told)s, %(used)s of %(all)s in use.") % used
    if option.look == "tight":
        return _both(sentence, _tight(option))
    return _both(sentence, _("Suggested.")) if option.is_suggested else sentence


def _both(first: str, second: str) -> str:
    """Two sentences, parted as the reader's language parts them."""
    return _("%(first)s %(second)s") % {"first": first, "second": second}


def memory_of(found: Proposal) -> int:
    return sum(gpu.total for gpu in found.way.gpus) or found.way.ram_bytes


def _tight(option: Option) -> str:
    context = {"context": f"{option.context // 1024}k", "count": option.slots}
    told = ngettext(
        "Fits with %(context)s context for one person.",
        "Fits with %(context)s context for %(count)d people.",
        option.slots,
    )
    return told % context


def _slow(option: Option) -> str:
    layers = {"on": option.fit.layers_on_gpu, "all": option.fit.wish.shape.layers}
    return _("Only %(on)d of %(all)d layers fit on the GPUs; the processor does the rest, slowly.") % layers


def preset(chosen: Preset) -> tuple[str, str]:
    """Its name, and what it means."""
    names = {"few": _("A few people"), "team": _("Team of 10"), "class": _("Class of 30")}
    if chosen.gpu_seconds is None:
        return names[chosen.name], _("no limits, fair line only")
    about = {"minutes": chosen.gpu_seconds // 60, "requests": chosen.requests}
    return names[chosen.name], _(
        "%(minutes)s minutes of GPU time a day and %(requests)s questions an hour each"
    ) % about


def progress(run: FirstRun) -> Progress | None:
    """None where no model was chosen."""
    if not run.model_name:
        return None
    model = run.artifact.model.name if run.artifact else run.model_name
    if run.model_problem:
        return Progress(model, problem(run), "gone")
    if run.model_asked_at or run.artifact is None:
        if first_run.is_lost(run.model_asked_at):
            return Progress(model, _("No runner took it up. Is the site running? Choose it again."), "gone")
        return Progress(model, _("asking its source what the name means now"), "loading")
    return _pulling(run, model) or _loading(run, model)


def problem(run: FirstRun) -> str:
    """Why the chosen model is not on its way; '' where it is."""
    return pinning.sentence(run.model_problem, run.model_name) or run.model_problem


def _pulling(run: FirstRun, model: str) -> Progress | None:
    """None where its last pull is done, or there was none."""
    jobs = PullJob.objects.filter(stored__artifact=run.artifact, stored__host=fleet.local_host())
    job = jobs.select_related("stored").order_by("-pk").first()
    if job is None or job.state == PullJob.State.DONE:
        return None
    if job.state in (PullJob.State.FAILED, PullJob.State.CANCELLED):
        return Progress(model, pull_words.reason(job) or pull_words.state(job), "gone")
    title = _("Pulling %(model)s") % {"model": model}
    parts = [pull_words.state(job), pull_words.amount(job), _left(job)]
    percent = min(100, 100 * job.done_bytes // job.total_bytes) if job.total_bytes else None
    look = "waiting" if job.state == PullJob.State.PAUSED else "loading"
    return Progress(title, " · ".join(filter(None, parts)), look, percent)


def _left(job: PullJob) -> str:
    left = pull_words.time_left(job)
    return "" if left == "–" else _("about %(time)s left") % {"time": left}


def _loading(run: FirstRun, model: str) -> Progress:
    deployments = Deployment.objects.filter(artifact=run.artifact, engine__host=fleet.local_host())
    row = deployments.select_related("engine").order_by("pk").first()
    if row is None:
        return Progress(model, _("Its deployment was deleted. Choose it again."), "gone")
    if row.state == State.WARM:
        return Progress(model, _("warm: it answers now"), "warm", 100)
    if row.state == State.STARTING:
        title = _("Loading %(model)s") % {"model": model}
        return Progress(title, warm_words.stage(row), "loading", row.progress)
    if row.state in (State.FAILED, State.QUARANTINED):
        return Progress(model, warm_words.reason(row), "gone")
    return Progress(model, warm_words.reason(row) or _("pulled, not loaded"), "waiting")


def ready_lead(run: FirstRun) -> str:
    """Who answers now, and who will."""
    warm = [choice.name for choice in fleet.choices() if choice.is_warm and not choice.is_cloud]
    chosen = run.artifact.model.name if run.artifact else ""
    about = {"warm": ", ".join(warm), "chosen": chosen}
    if chosen and chosen not in warm and not run.model_problem:
        if not warm:
            return _("%(chosen)s answers when it is loaded.") % about
        return _("Answers now: %(warm)s. %(chosen)s takes over when it is loaded.") % about
    return _("Answers now: %(warm)s.") % about if warm else _("No model answers yet.")
