"""Deployments in and out of memory: warm, unload, pin, measure. The row is the truth, messages are hints.

A move is guarded by state and attempt; what is in use is never unloaded. Warm means that a real token came out.
"""

from __future__ import annotations

from datetime import datetime

from models_admin.models import Deployment, Pin


class WarmError(Exception):
    """Why this cannot be done now, as a sentence for whoever asked."""


def warm(deployment: Deployment, *, by: str, why: str = "") -> Deployment:
    """Load it, unloading what has to go. `by` is a user name, '' = the site. Raises WarmError."""
    raise NotImplementedError


def unload(deployment: Deployment, *, by: str, why: str = "") -> Deployment:
    """Out of memory, once nothing runs on it. Raises WarmError where it is in use, pinned, or not the site's to unload."""
    raise NotImplementedError


def pin(deployment: Deployment, *, by: str, reason: str, ends_at: datetime | None = None) -> Pin:
    """It stays in memory until then. Raises WarmError."""
    raise NotImplementedError


def unpin(pin: Pin, *, by: str) -> None:
    raise NotImplementedError


def measure(deployment: Deployment, *, by: str) -> None:
    """Ask for a measurement at 1 to n streams; its rows come later. Raises WarmError where it is not warm."""
    raise NotImplementedError
