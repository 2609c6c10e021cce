"""Pulls in words: why one ended, how far one is, and how long it will take."""

from __future__ import annotations

from django.utils import formats
from django.utils.timezone import localtime, now
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from models_admin.models import PullJob

_REASONS = {
    "disk_full": gettext_lazy("The disk has no room for it. Make room, then retry: what came is kept."),
    "not_writable": gettext_lazy("The folder of models can't be written on that host."),
    "digest_differs": gettext_lazy("What came is not what was pinned, so it is not used."),
    "size_differs": gettext_lazy("The server's file has another size than it lists, so it is not used."),
    "files_refused": gettext_lazy("It brings programs or files that are not loaded here."),
    "host_refused": gettext_lazy("The address is not on a host that models may come from."),
    "name_refused": gettext_lazy("The name is not one that can be pulled."),
    "hub_refused": gettext_lazy("The server's answer can't be used, or leads where nothing may be loaded from."),
    "model_missing": gettext_lazy("There is no such model at its source any more."),
    "wrong_key": gettext_lazy("The source shows it to nobody without the right token (HF_TOKEN)."),
    "engine_unreachable": gettext_lazy(
        "The source does not answer. Look at that host's way to the internet, or set HF_ENDPOINT or OLLAMA_REGISTRY to "
        "a mirror that it reaches; then retry: what came is kept."
    ),
    "engine_overloaded": gettext_lazy("The source is busy. Retry later: what came is kept."),
    "engine_broke_off": gettext_lazy("The source cut the connection again and again. Retry later: what came is kept."),
    "not_verified": gettext_lazy("It came, and was not verified."),
}
# Of these the detail is the network's own words, for whoever reads logs.
_FOR_LOGS = {"engine_unreachable", "engine_overloaded", "engine_broke_off", "model_missing", "wrong_key"}
_STAGES = {
    "starting": gettext_lazy("asking the source"),
    "checking": gettext_lazy("reading the bytes at hand"),
    "loading": gettext_lazy("loading"),
    "waiting": gettext_lazy("waiting for the source"),
    "verifying": gettext_lazy("verifying"),
}


def reason(job: PullJob) -> str:
    """Why it failed, in a sentence; '' where it did not."""
    if not job.reason:
        return ""
    told = sentence(job.reason) or _("It failed (%(reason)s).") % {"reason": job.reason}
    return f"{told} ({job.detail})" if job.detail and job.reason not in _FOR_LOGS else told


def sentence(code: str) -> str:
    """For a reason's code; '' where there is none."""
    return str(_REASONS.get(code, ""))


def sentences() -> dict[str, str]:
    """Every reason and its sentence, for pages that write it themselves."""
    return {code: str(told) for code, told in _REASONS.items()}


def state(job: PullJob) -> str:
    """The state, and what is done in it."""
    if job.is_held:
        return _("planned for %(time)s") % {"time": planned_for(job)}
    told = str(job.get_state_display())
    if job.state == PullJob.State.RUNNING and job.stage in _STAGES:
        told = f"{told}: {_STAGES[job.stage]}"
    return told


def planned_for(job: PullJob) -> str:
    """Its time by the site's clock, with the date; '' where it has none."""
    return formats.date_format(localtime(job.not_before), "SHORT_DATETIME_FORMAT") if job.not_before else ""


def size(count: int | None) -> str:
    """As disks and networks are sold: powers of ten."""
    if count is None:
        return "–"
    return f"{count / 1e9:.2f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def amount(job: PullJob) -> str:
    if not job.total_bytes:
        return size(job.done_bytes)
    share = min(100, 100 * job.done_bytes // job.total_bytes)
    return f"{size(job.done_bytes)} / {size(job.total_bytes)} ({share} %)"


def speed(job: PullJob) -> str:
    if job.state != PullJob.State.RUNNING or not job.bytes_per_second:
        return "–"
    return f"{job.bytes_per_second / 1e6:.1f} MB/s"


def time_left(job: PullJob) -> str:
    """By the speed of the last seconds; '–' where nothing can be said."""
    if job.state != PullJob.State.RUNNING or not job.bytes_per_second or not job.total_bytes:
        return "–"
    return duration(max(0, job.total_bytes - job.done_bytes) // job.bytes_per_second)


def duration(seconds: int) -> str:
    if seconds < 60:
        return ngettext("%(count)d second", "%(count)d seconds", seconds) % {"count": seconds}
    if seconds < 3600:
        return ngettext("%(count)d minute", "%(count)d minutes", seconds // 60) % {"count": seconds // 60}
    return _("%(hours)d h %(minutes)d min") % {"hours": seconds // 3600, "minutes": seconds % 3600 // 60}


def last_word(job: PullJob) -> str:
    """How long ago the host spoke of it; '–' where that does not matter any more."""
    if job.seen_at is None or job.state != PullJob.State.RUNNING:
        return "–"
    seconds = max(0, round((now() - job.seen_at).total_seconds()))
    return _("%(time)s ago") % {"time": duration(seconds)}
