"""The dimensions of a model that decide how much memory its cache takes."""

from __future__ import annotations

from dataclasses import dataclass, replace

# Bytes of one value in the cache: q8_0 keeps 32 values in 34 bytes, q4_0 in 18 (llama.cpp's block formats).
KV_BYTES = {"f16": 2.0, "bf16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32, "fp8": 1.0}


@dataclass(frozen=True)
class Mla:
    """Multi-head latent attention: one compressed row for all heads, `rope_dim` values of it with positions."""

    kv_lora_rank: int
    rope_dim: int


@dataclass(frozen=True)
class Shape:
    """What a header or config.json tells. `key_length` and `value_length` are values per head.

    With `mla` the cache holds the compressed row; `expanded()` is the same model in a file without those keys.
    """

    layers: int
    attention_heads: int
    kv_heads: int
    key_length: int
    value_length: int
    hidden_size: int
    vocab_size: int
    context_length: int
    mla: Mla | None = None
    feed_forward: int = 0

    def expanded(self) -> Shape:
        """As llama.cpp and Ollama keep it from a GGUF file without MLA keys: keys and values of every head."""
        return replace(self, mla=None)

    @property
    def values_per_layer(self) -> int:
        """Values that one token leaves in the cache of one layer."""
        if self.mla is not None:
            return self.mla.kv_lora_rank + self.mla.rope_dim
        return self.kv_heads * (self.key_length + self.value_length)

    def kv_bytes_per_token(self, kv_type: str = "f16") -> int:
        """Bytes over all layers. Raises KeyError for a type that is not in KV_BYTES."""
        return round(self.layers * self.values_per_layer * KV_BYTES[kv_type])
