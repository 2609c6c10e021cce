"""A thought that the model did not end by itself: somebody wanted the answer, or the budget is used up."""

from __future__ import annotations

import uuid
from typing import Final

from django.db.models import Q

from chat.models import Generation
from models_admin.models import CatalogueModel, ModelAccess

End = Generation.ThinkingEnd
# What followers are told when it happens.
STAGES: Final[dict[str, str]] = {End.ASKED: "answer_now", End.BUDGET: "budget_used_up"}
# The field of `Capabilities` that it takes: a thought closed by us, and the answer written behind it.
ABILITY: Final = "continue_thinking"


def note(generation_id: uuid.UUID, attempt: int, end: str) -> None:
    """Keep why the thought has ended. Raises DatabaseError."""
    rows = Generation.objects.filter(pk=generation_id, attempt=attempt, state=Generation.State.RUNNING)
    rows.update(thinking_end=end)


def budget(row: Generation, model: CatalogueModel) -> int | None:
    """Tokens of thinking: a person's own row before his group's before the model's; None = without a limit."""
    mine = Q(user=row.user_id) | Q(group=row.user.main_group_id, group__isnull=False)
    found = ModelAccess.objects.filter(mine, model=model, thinking_budget__isnull=False)
    best = max(found, key=lambda access: access.user_id is not None, default=None)
    return best.thinking_budget if best else model.thinking_budget
