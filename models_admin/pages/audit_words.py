"""The audit in words: what was done, to which kind of thing, and the states before and after."""

from __future__ import annotations

from typing import Final

from django.apps import apps
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy

from models_admin.models import AuditEntry, Deployment, Host, PullJob, StoredArtifact
from models_admin.models.hosts import LOCAL_HOST
from models_admin.pulls import pull_words

VERBS: Final = {
    "choose_first_model": gettext_lazy("chose the first model"),
    "limit_everybody": gettext_lazy("set the limit of everybody"),
    "invite": gettext_lazy("made an invitation"),
    "make_join_code": gettext_lazy("made a join code"),
    "join": gettext_lazy("joined"),
    "leave": gettext_lazy("left"),
    "remove_host": gettext_lazy("removed the host"),
    "cut_off": gettext_lazy("was cut off"),
    "pull": gettext_lazy("asked for a pull"),
    "start_pull": gettext_lazy("started the pull at once"),
    "pause_pull": gettext_lazy("paused the pull"),
    "resume_pull": gettext_lazy("resumed the pull"),
    "cancel_pull": gettext_lazy("cancelled the pull"),
    "pull_ended": gettext_lazy("pull ended"),
    "delete_files": gettext_lazy("deleted files"),
    "deploy": gettext_lazy("deployed"),
    "warm": gettext_lazy("asked to warm"),
    "warmed": gettext_lazy("became warm"),
    "unload": gettext_lazy("unloaded"),
    "load_failed": gettext_lazy("load failed"),
    "quarantine": gettext_lazy("was left alone"),
    "measure": gettext_lazy("measured"),
    "pin": gettext_lazy("pinned"),
    "unpin": gettext_lazy("unpinned"),
}
SET_UP = "firstrun"
KINDS: Final = {SET_UP: gettext_lazy("set-up of this box")}
_STATES: Final = {
    str(state.value): state.label
    for states in (Deployment.State, PullJob.State, StoredArtifact.State)
    for state in states
}


def verb(code: str) -> str:
    return str(VERBS.get(code, code))


def kind(code: str) -> str:
    """As the admin calls such rows elsewhere."""
    if code in KINDS:
        return str(KINDS[code])
    known = next((model for model in apps.get_models() if model._meta.model_name == code), None)
    return str(known._meta.verbose_name) if known else code


def thing(entry: AuditEntry) -> str:
    """There is one set-up, which has no name; names of hosts are those of pages."""
    if entry.object_kind == SET_UP:
        return capfirst(kind(SET_UP))
    what, at, host = entry.object_name.rpartition(" @ ")
    return f"{what}{at}{Host(name=host)}" if host == LOCAL_HOST else entry.object_name


def kind_beside(entry: AuditEntry) -> str:
    """'' where the name says it."""
    return "" if entry.object_kind == SET_UP else kind(entry.object_kind)


def state(code: str) -> str:
    return str(_STATES.get(PullJob.State.FAILED if pull_words.sentence(code) else code, code))


def why(entry: AuditEntry) -> str:
    """In a sentence where there is one for it."""
    return pull_words.sentence(entry.after) or entry.why


def change(entry: AuditEntry) -> str:
    """'before → after', or whichever of them there is."""
    return " → ".join(filter(None, (state(entry.before), state(entry.after))))
