"""Questions for a model that nothing here can load or run any more: told so while they wait, and ended in time.

The clock of a model runs from the first look that found it so while somebody waited, and stops as soon as one of its
deployments can take the question again.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db.models.functions import Now

from chat import cold_models, settlement
from chat.models import Generation, StrandedModel
from models_admin.engines import fleet
from models_admin.loads import outlook
from models_admin.loads.outlook import Verdict

State = Generation.State
REASON: Final = "never_ready"
# The best that any of its deployments can say: none gets warm unless a person or a lost machine comes back.
HOPELESS: Final = frozenset(
    {
        Verdict.NOT_PULLED,
        Verdict.PULL_FAILED,
        Verdict.FAILED,
        Verdict.QUARANTINED,
        Verdict.TOO_BIG,
        Verdict.HOST_GONE,
        Verdict.NOT_OURS,
    }
)


def sweep() -> None:
    """Note which models are stranded, and end what has waited for one too long. Raises DatabaseError."""
    waiting = Generation.objects.filter(state=State.WAITING)
    stranded = _stranded(waiting.values_list("model_key", flat=True).distinct())
    StrandedModel.objects.exclude(model_key__in=stranded).delete()
    for key in stranded:
        StrandedModel.objects.get_or_create(model_key=key)
    late = StrandedModel.objects.filter(since__lt=Now() - cold_models.patience()).values("model_key")
    for generation_id in waiting.filter(model_key__in=late).values_list("pk", flat=True):
        settlement.end_unstarted(generation_id, State.FAILED, REASON)


def _stranded(models: Iterable[str]) -> list[str]:
    cold = [model for model in models if not fleet.warm_deployments(model)]
    look = outlook.look() if cold else None
    return [model for model in cold if look and _is_hopeless(look, model)]


def _is_hopeless(look: outlook.Look, model: str) -> bool:
    best = look.for_model(model)
    return best is None or best.verdict in HOPELESS
