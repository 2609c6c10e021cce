"""Whether a model fits into the memory of given GPUs, part by part, before anything is downloaded.

Pure: no Django, no HTTP. Bytes everywhere; `context` is tokens per slot. How the sum is made is told in
docs/models.md; the figures behind it are the published dimensions, checked against gguf-parser and real loads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from models_admin.fit.memory_split import (
    GIB,
    MIB,
    TAKEN_SHARE,
    ForeignProcess,
    Gpu,
    Share,
    by_layers,
    by_tensor,
    tensor_parallel_sizes,
    utilisation,
)
from models_admin.fit.memory_wish import CONTEXT_STEP, ENGINES, CannotReckon, Wish, checked, cpu_overhead
from models_admin.fit.model_shape import KV_BYTES, Mla, Shape
from models_admin.fit.shape_reading import Weights

__all__ = [
    "ENGINES", "GIB", "KV_BYTES", "MIB", "CannotReckon", "ForeignProcess", "Gpu", "Mla", "Shape", "Share", "Weights",
    "utilisation",
]  # fmt: skip

# Room for R1 to think, in tokens per slot; Ollama's own 4,096 cuts its answers off.
USUAL_CONTEXT = 16_384
# Below this a shorter context is no answer: R1's thoughts alone are longer.
SHORTEST_CONTEXT = 2048


class Verdict(StrEnum):
    FITS = "fits"
    SHORTER = "fits with a shorter context"
    PARTLY = "partly on CPU: slow"
    NOT = "does not fit"


@dataclass(frozen=True)
class Fit:
    """A verdict and its sum. `longest_context` is the longest up to the wished one that fits on GPUs alone.

    `on_cpu` are bytes in the machine's memory: the token embedding, for PARTLY what the GPUs can't take, and
    `cpu_overhead` for buffers; `ram` is what there is of it, None = not known.
    `tensor_parallel` is 0 where the engine shares out by layers. The sum is that of `context`.
    """

    verdict: Verdict
    wish: Wish
    shares: tuple[Share, ...]
    longest_context: int
    layers_on_gpu: int
    on_cpu: int
    cpu_overhead: int
    tensor_parallel: int
    tensor_parallel_sizes: tuple[int, ...]
    ram: int | None = None

    @property
    def context(self) -> int:
        return self.longest_context if self.verdict is Verdict.SHORTER else self.wish.context

    @property
    def weights(self) -> int:
        return self.wish.weights.total

    @property
    def kv(self) -> int:
        return self.wish.kv(self.context)

    @property
    def kv_copies(self) -> float:
        """How often the cache is kept over all GPUs; more than 1 where heads can't be parted."""
        return sum(share.kv for share in self.shares) / self.kv if self.tensor_parallel else 1.0

    @property
    def total(self) -> int:
        """Bytes on all GPUs and the processor together."""
        return sum(share.needed for share in self.shares) + self.on_cpu


@dataclass(frozen=True)
class Candidate:
    """Something else that might fit."""

    name: str
    weights: Weights
    shape: Shape


def fit(
    weights: Weights,
    shape: Shape,
    gpus: Sequence[Gpu],
    *,
    context: int,
    slots: int = 1,
    kv_type: str = "f16",
    engine: str = "llama.cpp",
    ram: int | None = None,
) -> Fit:
    """The verdict for one model on one machine; `ram` None = not known. Raises CannotReckon."""
    wish = checked(Wish(weights, shape, context, slots, kv_type, engine))
    if engine in TAKEN_SHARE:
        return _fit_by_tensor(wish, gpus)
    return _fit_by_layers(wish, gpus, ram)


def next_that_fits(
    candidates: Iterable[Candidate],
    gpus: Sequence[Gpu],
    *,
    context: int,
    slots: int = 1,
    kv_type: str = "f16",
    engine: str = "llama.cpp",
    ram: int | None = None,
) -> Candidate | None:
    """The first candidate that fits with the whole context: on the GPUs, or where there are none in memory."""
    wanted = Verdict.FITS if gpus else Verdict.PARTLY
    how: dict[str, Any] = {"context": context, "slots": slots, "kv_type": kv_type, "engine": engine, "ram": ram}
    fitting = (each for each in candidates if fit(each.weights, each.shape, gpus, **how).verdict is wanted)
    return next(fitting, None)


def _fit_by_layers(wish: Wish, gpus: Sequence[Gpu], ram: int | None) -> Fit:
    """llama.cpp spreads over all GPUs; Ollama takes the fewest that suffice, the roomiest first."""
    layers = wish.shape.layers
    order = sorted(gpus, key=lambda gpu: -gpu.free)
    groups = [order[:count] for count in range(1, len(order) + 1)] if wish.engine == "ollama" else [list(gpus)]

    def placed(group: Sequence[Gpu], context: int) -> tuple[Share, ...]:
        return by_layers(wish.weights, wish.kv(context), wish.shape, group)

    def is_whole(group: Sequence[Gpu], context: int) -> bool:
        return sum(share.layers for share in placed(group, context)) == layers

    group = next((group for group in groups if is_whole(group, wish.context)), list(gpus))
    longest = _longest(wish.context, lambda context: is_whole(group, context))
    verdict = _verdict(wish, longest)
    shares = placed(group, longest if verdict is Verdict.SHORTER else wish.context)
    on_gpu = sum(share.layers for share in shares)
    buffers = cpu_overhead(wish) if on_gpu < layers else 0
    staying = (wish.weights.offloaded + wish.kv(wish.context)) * (layers - on_gpu) // layers
    on_cpu = wish.weights.embedding_bytes + staying + buffers
    if verdict is Verdict.NOT and (ram is None or on_cpu <= ram):
        verdict = Verdict.PARTLY
    return Fit(verdict, wish, shares, longest, on_gpu, on_cpu, buffers, 0, (), ram)


def _fit_by_tensor(wish: Wish, gpus: Sequence[Gpu]) -> Fit:
    """The smallest group that holds everything; else the group with the longest context."""
    order = sorted(gpus, key=lambda gpu: -gpu.total * utilisation(gpu, wish.engine))
    sizes = tensor_parallel_sizes(wish.shape)
    best: Fit | None = None
    for size in (size for size in sizes if size <= len(order)):
        found = _fit_group(wish, order[:size], sizes)
        if best is None or found.longest_context >= best.longest_context:
            best = found
        if found.verdict is Verdict.FITS:
            return found
    return best or Fit(Verdict.NOT, wish, (), 0, 0, 0, 0, 0, sizes)


def _fit_group(wish: Wish, group: Sequence[Gpu], sizes: tuple[int, ...]) -> Fit:
    def placed(context: int) -> tuple[Share, ...]:
        return by_tensor(wish.weights, wish.kv(context), wish.shape, group, wish.engine)

    longest = _longest(wish.context, lambda context: all(share.fits for share in placed(context)))
    verdict = _verdict(wish, longest)
    shares = placed(longest if verdict is Verdict.SHORTER else wish.context)
    return Fit(verdict, wish, shares, longest, wish.shape.layers, 0, 0, len(group), sizes)


def _verdict(wish: Wish, longest: int) -> Verdict:
    if longest >= wish.context:
        return Verdict.FITS
    return Verdict.SHORTER if longest >= min(SHORTEST_CONTEXT, wish.context) else Verdict.NOT


def _longest(wished: int, fits: Callable[[int], bool]) -> int:
    """The longest context up to the wished one that fits, in steps; 0 where none does."""
    if fits(wished):
        return wished
    low, high = 0, wished // CONTEXT_STEP
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle * CONTEXT_STEP):
            low = middle
        else:
            high = middle - 1
    return low * CONTEXT_STEP
