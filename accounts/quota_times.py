"""When a limit begins anew, by the reader's clock, and how long that is."""

from __future__ import annotations

import math
from datetime import datetime, timedelta

from django.utils import formats, timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

HOUR, DAY = 60, 24 * 60  # minutes


def at(moment: datetime) -> str:
    """'at 18:00', 'tomorrow at 00:00', 'on Monday', 'on 1 December at 09:00': of a day farther off no midnight."""
    local = timezone.localtime(moment)
    ahead, about = local.date() - timezone.localdate(), {"time": f"{local:%H:%M}"}
    if ahead < timedelta(days=1):
        return _("at %(time)s") % about
    if ahead < timedelta(days=2):
        return _("tomorrow at %(time)s") % about
    day = formats.date_format(local, "l" if ahead < timedelta(days=7) else "MONTH_DAY_FORMAT")
    is_midnight = (local.hour, local.minute) == (0, 0)
    return (_("on %(day)s") if is_midnight else _("on %(day)s at %(time)s")) % {**about, "day": day}


def left(moment: datetime) -> str:
    """'2 h 14 min', '12 min', '3 days'; never nothing."""
    minutes = max(1, math.ceil((moment - timezone.now()).total_seconds() / 60))
    if minutes < HOUR:
        return _("%(minutes)d min") % {"minutes": minutes}
    if minutes < DAY:
        return _("%(hours)d h %(minutes)d min") % {"hours": minutes // HOUR, "minutes": minutes % HOUR}
    days = round(minutes / DAY)
    return ngettext("%(days)d day", "%(days)d days", days) % {"days": days}


def until(moment: datetime) -> str:
    """'18:00' of today, else '5 December, 18:00'."""
    local = timezone.localtime(moment)
    if local.date() == timezone.localdate():
        return f"{local:%H:%M}"
    return _("%(day)s, %(time)s") % {"day": formats.date_format(local, "MONTH_DAY_FORMAT"), "time": f"{local:%H:%M}"}
