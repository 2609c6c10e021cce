"""Questions for a model that is not warm, of people who may not have it loaded."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from accounts.models import User
from chat import settlement
from chat.line import IDLE, Line
from chat.models import Generation
from models_admin.engines import access


def admitted(line: Line, cold: Iterable[str]) -> list[str]:
    """Of these models those that may be loaded for one who waits. Who may only ask a warm one waits along with him,
    never alone: then he is told what he may do."""
    return [model for model in cold if _is_admitted(line, model)]


def _is_admitted(line: Line, model: str) -> bool:
    waiting = [entry for entry in line if entry.model == model and entry.class_ != IDLE]
    people = {entry.flow for entry in waiting}
    if access.may_any_load(model, people):
        return True
    reasons = {user.pk: access.why_not(user, model) for user in User.objects.filter(pk__in=people)}
    for entry in waiting:
        if reason := reasons.get(entry.flow):
            settlement.end_unstarted(uuid.UUID(entry.key), Generation.State.FAILED, reason)
            line.withdraw(entry.key)
    return False
