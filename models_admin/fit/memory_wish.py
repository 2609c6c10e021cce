"""What is to be loaded and how, checked, and what it takes beside weights where a processor does the work.

Pure: no Django, no HTTP. Bytes everywhere; `context` is tokens per slot.
"""

from __future__ import annotations

from dataclasses import dataclass

from models_admin.fit.memory_split import MIB
from models_admin.fit.model_shape import Shape
from models_admin.fit.shape_reading import Weights

# Types of the cache that an engine knows. f16 stands for 16 bit, whichever it takes.
KV_TYPES = {
    "llama.cpp": ("f16", "bf16", "q8_0", "q4_0"),
    "ollama": ("f16", "q8_0", "q4_0"),
    "vllm": ("f16", "bf16", "fp8"),
    "sglang": ("f16", "bf16", "fp8"),
}
ENGINES = tuple(KV_TYPES)
# llama.cpp rounds a slot's context up to this; vLLM's blocks of 16 divide it.
CONTEXT_STEP = 256
# llama.cpp works through prompts in parts of this many tokens.
UBATCH = 512
# Python, the library, the vocabulary and the graph of the built-in engine; measured on Linux with two models.
CPU_RUNTIME = 24 * MIB


class CannotReckon(ValueError):
    """A wish that makes no sense for this engine or model: `engine`, `kv_type`, `number` or `context`.

    `allowed` is what would do.
    """

    def __init__(self, what: str, allowed: str) -> None:
        super().__init__(f"{what}: {allowed}")
        self.what, self.allowed = what, allowed


@dataclass(frozen=True)
class Wish:
    """What is to be loaded and how."""

    weights: Weights
    shape: Shape
    context: int
    slots: int
    kv_type: str
    engine: str

    def kv(self, context: int) -> int:
        """Bytes of the cache over all slots."""
        padded = -(-context // CONTEXT_STEP) * CONTEXT_STEP
        return self.shape.kv_bytes_per_token(self.kv_type) * padded * self.slots


def checked(wish: Wish) -> Wish:
    """The wish itself. Raises CannotReckon."""
    if wish.engine not in KV_TYPES:
        raise CannotReckon("engine", ", ".join(ENGINES))
    if wish.kv_type not in KV_TYPES[wish.engine]:
        raise CannotReckon("kv_type", ", ".join(KV_TYPES[wish.engine]))
    if wish.context < 1 or wish.slots < 1:
        raise CannotReckon("number", "1")
    if wish.context > wish.shape.context_length:
        raise CannotReckon("context", f"{wish.shape.context_length:,}")
    return wish


def cpu_overhead(wish: Wish) -> int:
    """Bytes beside weights and cache where layers stay on the processor: llama.cpp's buffers, and its process.

    Its buffers hold a part of a prompt in three widths of the feed-forward and five of the model in 32 bit, a mask
    over the context in 16 bit and one row of the vocabulary per slot; so its log reads for both models at hand.
    """
    shape = wish.shape
    compute = UBATCH * 4 * (3 * shape.feed_forward + 5 * shape.hidden_size)
    return CPU_RUNTIME + compute + UBATCH * wish.context * 2 + wish.slots * shape.vocab_size * 4
