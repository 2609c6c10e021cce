"""A thought that the model did not end by itself: somebody wanted the answer, or the budget is used up."""

from __future__ import annotations

import uuid
from typing import Final

from chat.models import Generation

End = Generation.ThinkingEnd
# What followers are told when it happens.
STAGES: Final[dict[str, str]] = {End.ASKED: "answer_now", End.BUDGET: "budget_used_up"}
# The field of `Capabilities` that it takes: a thought closed by us, and the answer written behind it.
ABILITY: Final = "continue_thinking"


def note(generation_id: uuid.UUID, attempt: int, end: str) -> None:
    """Keep why the thought has ended. Raises DatabaseError."""
    rows = Generation.objects.filter(pk=generation_id, attempt=attempt, state=Generation.State.RUNNING)
    rows.update(thinking_end=end)
