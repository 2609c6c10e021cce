"""Whether an answer goes on after its engine, its runner or its site died, and from what."""

from __future__ import annotations

import uuid

from django.conf import settings

from chat import settlement
from chat.models import Generation
from chat.outcome import Outcome
from models_admin.backends.base import Prefix
from models_admin.engines import fleet

# A grammar begins anew with every request: half an object cannot be gone on from.
FROM_THE_BEGINNING = ("json_schema",)


def hand_on(generation_id: uuid.UUID, attempt: int, worker_id: int | None, outcome: Outcome) -> bool:
    """Back to its place in the line, with its text; False where it has to end instead. Raises DatabaseError."""
    row = Generation.objects.only("model_key", "options").filter(pk=generation_id).first()
    if row is None or settings.AFTER_LOSS != "continue" or not can_go_on(row, outcome.thinking, outcome.text):
        return False
    return settlement.hand_on(generation_id, attempt, worker_id, outcome)


def can_go_on(row: Generation, thinking: str, text: str) -> bool:
    """Whether any replica of its model can write on behind this."""
    needed = ability(thinking, text)
    if not needed:
        return True
    if any(row.options.get(name) is not None for name in FROM_THE_BEGINNING):
        return False
    return fleet.can_continue(row.model_key, needed)


def ability(thinking: object, text: object) -> str:
    """The field of `Capabilities` that writing on behind such a text takes; '' where there is none."""
    if text:
        return "continue_answer"
    return "continue_thinking" if thinking else ""


def prefix(thinking: str, text: str, *, is_closed: bool = False) -> Prefix | None:
    """What the engine is told to write on behind. A thought without an answer is open, unless it was ended by us."""
    if not thinking and not text:
        return None
    return Prefix(thinking, text if text or is_closed else None)
