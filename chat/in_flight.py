"""What is open now, for a limit that is set meanwhile."""

from __future__ import annotations

from django.db.models import Exists, OuterRef

from accounts.quota import Amounts
from accounts.quota_open import Open
from chat import billing, estimating
from chat.models import Generation, Segment
from models_admin.engines import fleet


def answers() -> list[Open]:
    """Locked until the end of the transaction. What the site asks in idle time is on nobody's limits."""
    rows = Generation.objects.select_for_update(of=("self",)).filter(state__in=Generation.LIVE)
    rows = (
        rows.exclude(queue_class=Generation.QueueClass.IDLE)
        .select_related("user", "token", "message__conversation")
        .order_by("pk")
    )
    parts = Segment.objects.filter(generation=OuterRef("pk"))
    return [
        Open(row.pk, row.user, row.token, row.model_key, _amounts(row), is_billed_in_part=row.has_parts)
        for row in rows.annotate(has_parts=Exists(parts))
    ]


def _amounts(row: Generation) -> Amounts:
    prompt = billing.prompt_estimate(row) if fleet.is_cloud(row.model_key) else 0
    cost = estimating.cost(row.model_key, prompt_tokens=prompt, output_tokens=row.estimate_tokens)
    return Amounts(gpu_ms=row.estimate_gpu_ms, output_tokens=row.estimate_tokens, cost_micro=cost.micro)
