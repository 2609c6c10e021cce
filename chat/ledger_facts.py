"""What a line of the ledger tells beside tokens and price: how long a load took of the wait, and what was not sent."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Sum

from chat.models import Generation, Message
from models_admin.models import Deployment


def loading_ms(row: Generation) -> int:
    """Of the time until release, how much its deployment was loading; 0 where it has not stayed warm since."""
    deployment, released = row.deployment, row.released_at
    if deployment is None or released is None or deployment.state != Deployment.State.WARM or not deployment.load_ms:
        return 0
    warm = deployment.state_since
    begun = max(row.created_at, warm - timedelta(milliseconds=deployment.load_ms))
    return max(0, int((min(released, warm) - begun).total_seconds() * 1000))


def unsent_thinking_tokens(row: Generation) -> int:
    """Thinking tokens of the earlier answers on its path, none of which go back to the model."""
    own = Message.objects.filter(generations=row.pk).select_related("parent").only("conversation", "parent__parent")
    answer = own.first()
    if answer is None or answer.parent is None or answer.parent.parent_id is None:
        return 0
    parents = dict(Message.objects.filter(conversation=answer.conversation_id).values_list("pk", "parent_id"))
    path, at = [], answer.parent_id
    while at is not None:
        path.append(at)
        at = parents.pop(at, None)
    total: int | None = Generation.objects.filter(message__in=path).aggregate(all=Sum("thinking_tokens"))["all"]
    return total or 0


def milliseconds(start: datetime, end: datetime | None) -> int | None:
    """From one moment to another; None where it has not come."""
    return None if end is None else max(0, int((end - start).total_seconds() * 1000))
