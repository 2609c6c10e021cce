"""Times of day at which a pull may begin, by the site's own clock."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from django.utils import timezone
from django.utils.translation import gettext as _

TONIGHT: Final = "02:00"


class NoTime(Exception):
    """What is wrong with a time, as a sentence for whoever wrote it."""


def next_at(text: str) -> datetime:
    """The next moment at which the site's clock shows these hours and minutes. Raises NoTime."""
    try:
        at = datetime.strptime(text.strip(), "%H:%M")
    except ValueError:
        raise NoTime(_("“%(text)s” is no time of day, such as 02:00.") % {"text": text[:40]}) from None
    now = timezone.localtime()
    found = now.replace(hour=at.hour, minute=at.minute, second=0, microsecond=0)
    return found if found > now else found + timedelta(days=1)
