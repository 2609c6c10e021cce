"""The reader's time zone, as his browser tells it in a cookie."""

from __future__ import annotations

import zoneinfo

from django.conf import settings
from django.http import HttpRequest


def name(request: HttpRequest) -> str:
    """The site's own where the browser tells none that is known."""
    try:
        return zoneinfo.ZoneInfo(request.COOKIES.get("time_zone", "")).key or settings.TIME_ZONE
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        return settings.TIME_ZONE
