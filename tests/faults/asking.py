"""Questions that no other test asks: the engine's log is read by their text."""

from __future__ import annotations

import uuid


def question(script: str) -> str:
    return f"{script} [{uuid.uuid4().hex}]"
