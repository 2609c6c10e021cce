"""Why files that are being deleted are there still, in sentences."""

from __future__ import annotations

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from models_admin.models import StoredArtifact

NO_WORD, STILL_LISTED, NOT_WRITABLE = "no_word", "still_listed", "not_writable"
_REASONS = {
    NO_WORD: gettext_lazy("Nobody there said that they are gone. They may lie there still: delete them again."),
    STILL_LISTED: gettext_lazy("Ollama still has it in its list."),
    NOT_WRITABLE: gettext_lazy("The folder of models can't be written on that host."),
    "engine_unreachable": gettext_lazy("Ollama does not answer."),
    "wrong_key": gettext_lazy("Ollama refuses the site's key."),
}


def reason(stored: StoredArtifact) -> str:
    """'' where there is none yet."""
    if not stored.reason:
        return ""
    return str(_REASONS.get(stored.reason, _("It failed (%(reason)s).") % {"reason": stored.reason}))


def waits_for(stored: StoredArtifact) -> str:
    """While it is under way: why it is not done yet."""
    return reason(stored) or _("until their host says that they are gone")
