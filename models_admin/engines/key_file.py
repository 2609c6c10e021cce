"""An engine's key out of a file: never on a command line, where everybody who lists processes reads it."""

from __future__ import annotations

from pathlib import Path

from django.core.management.base import CommandError
from django.utils.translation import gettext as _


def read_key(path: Path) -> str:
    """The one line in it. Raises CommandError in words."""
    try:
        key = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise CommandError(
            _("The key file %(path)s can't be read: %(why)s.") % {"path": path, "why": reason}
        ) from error
    if not key or not key.isascii() or any(c.isspace() for c in key):
        raise CommandError(_("The key file %(path)s does not hold one key on one line.") % {"path": path})
    return key
