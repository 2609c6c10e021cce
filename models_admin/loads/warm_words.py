"""Loads in words: what a deployment is at, why it is not warm, and why it cannot be warmed now."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.engines import fleet
from models_admin.loads.outlook import Outlook, Verdict
from models_admin.models import Deployment

_STAGES = {
    "evicting": gettext_lazy("making room"),
    "launching": gettext_lazy("starting its server"),
    "loading": gettext_lazy("loading"),
    "checking": gettext_lazy("waiting for its first token"),
    "measuring": gettext_lazy("being measured"),
}
_REASONS = {
    "unloaded_outside": gettext_lazy("Somebody else unloaded it."),
    "other_context": gettext_lazy("It was loaded with another context by somebody else."),
    "idle": gettext_lazy("It was unloaded because nobody used it."),
    "load_failed": gettext_lazy("It could not be loaded."),
    "load_silent": gettext_lazy("Nothing was heard of its load any more."),
    "no_token": gettext_lazy("It was loaded, and no token came out."),
    "host_gone": gettext_lazy("Its host fell silent."),
    "port_taken": gettext_lazy("Another program has its port."),
    "program_missing": gettext_lazy("Its host does not have the program."),
    "server_ended": gettext_lazy("Its server ended again and again, and is left alone. Its log says why."),
    "server_died": gettext_lazy("Its server ended by itself and is started again."),
    "server_slow": gettext_lazy("Its server was not ready within an hour."),
    "server_not_started": gettext_lazy("Its host could not start its server."),
    "out_of_memory": gettext_lazy("Memory ran out. Less context or fewer answers at once may fit."),
    "no_address": gettext_lazy("Its host does not have the address to listen on."),
    "launch_refused": gettext_lazy("Its host does not start such a server."),
    "files_missing": gettext_lazy("Its files are not where they should be."),
    "server_silent": gettext_lazy("Its server said nothing for too long."),
    "no_room_in_use": gettext_lazy("The models in memory are answering; one has to be idle first."),
    "no_room_pinned": gettext_lazy("The models in memory are pinned."),
    "no_room_too_big": gettext_lazy("It does not fit into the memory of its host."),
    "no_room_after_pull": gettext_lazy("It was pulled, and had no room in memory then."),
    "engine_unreachable": gettext_lazy("Its engine does not answer."),
    "engine_overloaded": gettext_lazy("Its engine is busy."),
    "engine_broke_off": gettext_lazy("Its engine gave the load up."),
    "model_missing": gettext_lazy("Its engine does not have the model."),
    "wrong_key": gettext_lazy("Its engine refuses the key."),
}


def stage(deployment: Deployment) -> str:
    """What is done with it now, with its percent where that is known; '' where nothing is."""
    word = str(_STAGES.get(deployment.stage, ""))
    return f"{word}, {deployment.progress} %" if word and deployment.progress is not None else word


def reason(deployment: Deployment) -> str:
    """Why it is not warm, in a sentence; '' where there is nothing to say."""
    if not deployment.reason:
        return ""
    sentence = str(_REASONS.get(deployment.reason) or _("It failed (%(reason)s).") % {"reason": deployment.reason})
    return f"{sentence} ({deployment.detail})" if deployment.detail else sentence


def reasons() -> dict[str, str]:
    """Every reason and its sentence, for pages that write it themselves."""
    return {code: str(sentence) for code, sentence in _REASONS.items()}


def refusal(found: Outlook) -> str:
    """Why it cannot be warmed now."""
    row = found.deployment
    about = {"model": row.artifact.ref, "host": fleet.shown_name(row.engine.host)}
    if found.verdict is Verdict.PINNED and found.pinned_until:
        return _("%(model)s does not fit on %(host)s beside what is pinned there until %(time)s.") % {
            **about, "time": f"{found.pinned_until:%H:%M}"
        }  # fmt: skip
    sentences = {
        Verdict.TOO_BIG: _("%(model)s does not fit into the memory of %(host)s."),
        Verdict.PINNED: _("%(model)s does not fit on %(host)s beside what is pinned there."),
        Verdict.IN_USE: _("The models on %(host)s are answering. %(model)s can be loaded when one is idle."),
        Verdict.NOT_PULLED: _("%(model)s is not on %(host)s yet: pull it first."),
        Verdict.PULLING: _("%(model)s is still on its way to %(host)s."),
        Verdict.PULL_PAUSED: _("The pull of %(model)s to %(host)s is paused: resume it first."),
        Verdict.PULL_FAILED: _("The pull of %(model)s to %(host)s failed: retry it first."),
        Verdict.HOST_GONE: _("Nothing can be loaded on %(host)s while it is silent."),
    }
    return (sentences.get(found.verdict) or _not_ours()) % about


def not_ours(row: Deployment) -> str:
    return _not_ours() % {"model": row.artifact.ref, "host": fleet.shown_name(row.engine.host)}


def being_unloaded(row: Deployment) -> str:
    return _("%(model)s is just being unloaded. Try again in a moment.") % {"model": row.artifact.ref}


def _not_ours() -> str:
    return _("The engine of %(model)s runs by itself on %(host)s: start or end it there.")
