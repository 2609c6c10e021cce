"""Pins in words: whose a pin is, until when, and why. Pins that have ended are none."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone
from django.utils.translation import gettext as _

from models_admin.models import Deployment, Pin
from models_admin.pages.host_view import moment


def holding(pins: Iterable[Pin]) -> list[Pin]:
    """Those that hold now, the longest first."""
    now = timezone.now()
    rows = [pin for pin in pins if pin.starts_at <= now and (pin.ends_at is None or pin.ends_at > now)]
    return sorted(rows, key=lambda pin: (pin.ends_at is not None, -pin.ends_at.timestamp() if pin.ends_at else 0))


def longest_pin(deployment: Deployment) -> Pin | None:
    """The one that holds longest."""
    return next(iter(holding(deployment.pins.all())), None)


def pinned_until(pin: Pin) -> str:
    if pin.ends_at is None:
        return _("pinned by %(person)s") % {"person": pin.owner}
    return _("pinned by %(person)s until %(time)s") % {"person": pin.owner, "time": moment(pin.ends_at)}
