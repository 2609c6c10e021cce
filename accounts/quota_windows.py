"""The window of a limit around a moment, cut in the limit's own time zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from accounts.models import QuotaLimit

# What is counted now has one window without an end.
ALWAYS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2500, 1, 1, tzinfo=UTC))


def window_of(limit: QuotaLimit, now: datetime) -> tuple[datetime, datetime]:
    """Start and end (UTC)."""
    if limit.unit == QuotaLimit.Unit.RUNNING:
        return ALWAYS
    zone = ZoneInfo(limit.time_zone)
    local = now.astimezone(zone)
    if limit.window == QuotaLimit.Window.HOUR:
        start = now - timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return start, start + timedelta(hours=1)
    first, after = _days(limit.window, local.date())
    return _midnight(first, zone), _midnight(after, zone)


def _days(window: str, today: date) -> tuple[date, date]:
    """First day of the window and the first day after it."""
    if window == QuotaLimit.Window.DAY:
        return today, today + timedelta(days=1)
    if window == QuotaLimit.Window.WEEK:
        monday = today - timedelta(days=today.weekday())
        return monday, monday + timedelta(days=7)
    first = today.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=zone).astimezone(UTC)
