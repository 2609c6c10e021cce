"""What a deployed model should take of the memory by our own sum: stored beside what its engine then tells."""

from __future__ import annotations

from models_admin import catalogue, memory_fit
from models_admin.memory_split import Gpu
from models_admin.models import Deployment, Engine

# One card on which everything fits: the sum is asked for, not the verdict.
_BOUNDLESS = (Gpu("any", 1 << 50, 1 << 50),)
# vLLM and SGLang take a share of each card whatever the model; there is nothing to compare.
_BY_NEED = frozenset({Engine.Kind.OLLAMA, Engine.Kind.LLAMA_CPP})


def of(deployment: Deployment) -> int | None:
    """Bytes of weights, cache and overhead; None for what the catalogue does not know."""
    card = catalogue.find(deployment.artifact.model.key) or catalogue.find(deployment.artifact.ref)
    if card is None or deployment.engine.kind not in _BY_NEED:
        return None
    context = min(deployment.context_tokens, card.shape.context_length)
    weights = memory_fit.Weights(card.download.bytes)
    try:
        return memory_fit.fit(weights, card.shape, _BOUNDLESS, context=context, slots=deployment.slots).total
    except memory_fit.CannotReckon:
        return None
