"""What a deployed model should take of the memory by our own sum: stored beside what its engine then tells."""

from __future__ import annotations

from dataclasses import dataclass

from models_admin.family import catalogue, memory_sources
from models_admin.family.memory_sources import SourceError
from models_admin.fit import memory_fit
from models_admin.fit.memory_fit import CannotReckon, Gpu, Weights
from models_admin.models import Deployment, Engine

# One card on which everything fits: the sum is asked for, not the verdict.
_BOUNDLESS = (Gpu("any", 1 << 50, 1 << 50),)
# vLLM and SGLang take a share of each card whatever the model; there is nothing to compare.
_BY_NEED = frozenset({Engine.Kind.OLLAMA, Engine.Kind.LLAMA_CPP})


@dataclass(frozen=True)
class Comparison:
    """Bytes expected and measured; `error` is how much of the real figure the sum is off, 0.1 = 10 % too much."""

    expected: int
    measured: int

    @property
    def difference(self) -> int:
        return self.expected - self.measured

    @property
    def error(self) -> float:
        return self.difference / self.measured


def of(deployment: Deployment, *, has_gpu: bool = True) -> int | None:
    """Bytes of weights, cache and overhead; None for what the catalogue does not know."""
    artifact, kind = deployment.artifact, deployment.engine.kind
    card = catalogue.first_of((artifact.model.key, artifact.ref))
    if card is None or kind not in _BY_NEED:
        return None
    quantisation = artifact.quantisation or catalogue.quantisation_in(artifact.ref)
    context = min(deployment.context_tokens, card.context)
    try:
        files = memory_sources.from_card(card, engine=kind, quantisation=quantisation)
        weights = Weights(artifact.bytes) if artifact.bytes else files.weights
        cards = _BOUNDLESS if has_gpu else ()
        return memory_fit.fit(weights, files.shape, cards, context=context, slots=deployment.slots, engine=kind).total
    except (SourceError, CannotReckon):
        return None
