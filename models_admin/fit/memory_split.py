"""How engines share a model out over GPUs: by layers (llama.cpp, Ollama) or by tensors (vLLM, SGLang)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from models_admin.fit.model_shape import Shape
from models_admin.fit.shape_reading import Weights

GIB = 1 << 30
MIB = 1 << 20
# Compute buffers with flash attention, the CUDA context and what llama.cpp's own fitting leaves free.
GPU_OVERHEAD = GIB
# What vLLM takes of every card (its default since 0.11), and what SGLang chooses for a 24 to 80 GB card.
TAKEN_SHARE = {"vllm": 0.92, "sglang": 0.88}
MOST_TENSOR_PARALLEL = 16


@dataclass(frozen=True)
class ForeignProcess:
    """A process that is none of ours and holds memory of a GPU; 0 bytes where the driver does not tell."""

    pid: int
    name: str
    bytes: int


@dataclass(frozen=True)
class Gpu:
    """`free` is what is left beside foreign processes and the driver, in bytes."""

    name: str
    total: int
    free: int
    foreign: tuple[ForeignProcess, ...] = ()

    @classmethod
    def sized(cls, gib: float) -> Gpu:
        """An empty card; cards sold as 24 GB have 24 GiB."""
        return cls(f"{gib:g} GB", int(gib * GIB), int(gib * GIB))


@dataclass(frozen=True)
class Share:
    """What one GPU has to bear, in bytes. `budget` is what the engine may take of it; `layers` 0 = all, in parts."""

    gpu: Gpu
    budget: int
    weights: int
    kv: int
    overhead: int
    layers: int = 0

    @property
    def needed(self) -> int:
        return self.weights + self.kv + self.overhead

    @property
    def fits(self) -> bool:
        return self.needed <= self.budget


def by_layers(weights: Weights, kv: int, shape: Shape, gpus: Sequence[Gpu]) -> tuple[Share, ...]:
    """As many whole layers on every GPU as fit, in proportion to the room there; the rest stays on the processor."""
    per_layer = -(-(weights.offloaded + kv) // shape.layers)
    most = [max(0, gpu.free - GPU_OVERHEAD) // per_layer for gpu in gpus]
    placed = min(shape.layers, sum(most))
    layers = [each * placed // max(1, sum(most)) for each in most]
    # What rounding left over, one each: nobody gets more than he has room for, as shares are rounded down.
    for index in [index for index in range(len(most)) if layers[index] < most[index]][: placed - sum(layers)]:
        layers[index] += 1
    return tuple(
        Share(
            gpu=gpu,
            budget=gpu.free,
            weights=weights.offloaded * count // shape.layers,
            kv=kv * count // shape.layers,
            overhead=GPU_OVERHEAD if count else 0,
            layers=count,
        )
        for gpu, count in zip(gpus, layers, strict=True)
    )


def by_tensor(weights: Weights, kv: int, shape: Shape, group: Sequence[Gpu], engine: str) -> tuple[Share, ...]:
    """The same part of every tensor on every GPU of the group; the smallest card decides."""
    ranks = len(group)
    return tuple(
        Share(
            gpu=gpu,
            budget=int(gpu.total * utilisation(gpu, engine)),
            weights=-(-weights.total // ranks),
            kv=kv_per_rank(kv, shape, ranks),
            overhead=GPU_OVERHEAD,
        )
        for gpu in group
    )


def utilisation(gpu: Gpu, engine: str) -> float:
    """The share of the card to let the engine have: it refuses to start where less than that is free."""
    return min(TAKEN_SHARE[engine], int(100 * gpu.free / gpu.total) / 100)


def kv_per_rank(kv: int, shape: Shape, ranks: int) -> int:
    """A compressed row serves all heads, so each rank keeps it whole; a KV head is never cut, but kept twice."""
    if shape.mla is not None:
        return kv
    return kv * max(1, shape.kv_heads // ranks) // shape.kv_heads


def tensor_parallel_sizes(shape: Shape) -> tuple[int, ...]:
    """Sizes at which vLLM and SGLang start: attention heads and feed-forward divide, KV heads divide or repeat.

    The middle one is asserted in vLLM's attention layers (qwen2.py, llama.py); 7 for the 28 heads of the 7B fails.
    """
    return tuple(size for size in range(1, MOST_TENSOR_PARALLEL + 1) if _divides(shape, size))


def _divides(shape: Shape, size: int) -> bool:
    if shape.attention_heads % size or shape.feed_forward % size:
        return False
    if shape.mla is not None:
        return True
    return shape.kv_heads % size == 0 or size % shape.kv_heads == 0
