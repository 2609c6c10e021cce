"""A model's shape and the bytes of its weights, from a GGUF header or from the files of a Hugging Face repository."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from models_admin.fit.gguf import Header
from models_admin.fit.model_shape import Mla, Shape

# No model has come near them; they keep sums and sentences readable when a file lies.
MOST = 1 << 40
VALUE_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "float8_e4m3fn": 1}


class NoShape(Exception):
    """What is missing or senseless, as a sentence."""


@dataclass(frozen=True)
class Weights:
    """Bytes of all tensors. `embedding_bytes` of them stay in the machine's memory under llama.cpp and Ollama.

    That part is 0 where it is not known, and where the output uses the same tensor: that copy goes to the GPU.
    """

    total: int
    embedding_bytes: int = 0

    @property
    def offloaded(self) -> int:
        return self.total - self.embedding_bytes


def from_gguf(headers: Sequence[Header]) -> tuple[Shape, Weights]:
    """From the header of one file, or of all files of a split model, the first first. Raises NoShape."""
    header = headers[0]
    total = sum(each.weights_bytes for each in headers)
    embedding = sum(each.embedding_bytes for each in headers)
    has_output = any(tensor.name == "output.weight" for each in headers for tensor in each.tensors)
    return _gguf_shape(header), Weights(total, embedding if has_output else 0)


def _gguf_shape(header: Header) -> Shape:
    field = _Fields(header.metadata, f"{header.architecture}.")
    heads = field.most("attention.head_count")
    hidden = field.number("embedding_length")
    kv_heads = field.most("attention.head_count_kv", heads)
    rank = field.number("attention.kv_lora_rank", 0)
    # Only a file with these keys makes llama.cpp keep the compressed row.
    is_compressed = rank and "attention.key_length_mla" in field
    head = _head(hidden, heads)
    key_length, value_length = field.number("attention.key_length", head), field.number("attention.value_length", head)
    if is_compressed:
        kv_heads = heads
        key_length, value_length = field.number("attention.key_length_mla"), field.number("attention.value_length_mla")
    return Shape(
        layers=field.number("block_count"),
        attention_heads=heads,
        kv_heads=kv_heads,
        key_length=key_length,
        value_length=value_length,
        hidden_size=hidden,
        vocab_size=field.number("vocab_size", header.lengths.get("tokenizer.ggml.tokens", 0)),
        context_length=field.number("context_length"),
        mla=Mla(rank, field.number("rope.dimension_count", 64)) if is_compressed else None,
        feed_forward=field.most("feed_forward_length", 0),
    )


def from_config(config: Mapping[str, Any]) -> Shape:
    """From a repository's config.json. Raises NoShape."""
    inner = config.get("text_config")
    field = _Fields(inner if isinstance(inner, Mapping) and "num_hidden_layers" in inner else config)
    heads, hidden = field.number("num_attention_heads"), field.number("hidden_size")
    head = field.number("head_dim", _head(hidden, heads))
    rank = field.number("kv_lora_rank", 0)
    rope = field.number("qk_rope_head_dim", 0)
    return Shape(
        layers=field.number("num_hidden_layers"),
        attention_heads=heads,
        kv_heads=field.number("num_key_value_heads", heads),
        key_length=field.number("qk_nope_head_dim", head) + rope if rank else head,
        value_length=field.number("v_head_dim", head) if rank else head,
        hidden_size=hidden,
        vocab_size=field.number("vocab_size"),
        context_length=field.number("max_position_embeddings"),
        mla=Mla(rank, rope) if rank else None,
        feed_forward=field.number("intermediate_size", 0),
    )


def _head(hidden: int, heads: int) -> int:
    """Values of a head where nothing else is said."""
    if heads > hidden:
        raise NoShape(f"{heads} heads share {hidden} values")
    return hidden // heads


def from_index(index: Mapping[str, Any], config: Mapping[str, Any]) -> Weights:
    """From model.safetensors.index.json, less an output layer that is stored although tied. Raises NoShape."""
    summary = index.get("metadata")
    total = _Fields(summary if isinstance(summary, Mapping) else {}).number("total_size")
    names = index.get("weight_map")
    if config.get("tie_word_embeddings") is True and isinstance(names, Mapping) and "lm_head.weight" in names:
        shape = from_config(config)
        kind = str(config.get("dtype") or config.get("torch_dtype"))
        total -= shape.vocab_size * shape.hidden_size * VALUE_BYTES.get(kind, 2)
    if total <= 0:
        raise NoShape("the index speaks of no bytes")
    return Weights(total)


class _Fields:
    """Whole numbers out of what a file says of itself."""

    def __init__(self, values: Mapping[str, Any], prefix: str = "") -> None:
        self._values, self._prefix = values, prefix

    def __contains__(self, name: str) -> bool:
        return self._prefix + name in self._values

    def number(self, name: str, default: int | None = None) -> int:
        """A number above 0; a missing, null or empty one is `default`, where there is one."""
        value = self._values.get(self._prefix + name)
        if value is None and default is not None:
            return default
        if isinstance(value, float) and value.is_integer():  # some tools write total_size so
            value = int(value)
        if type(value) is not int or not 0 < value < MOST:
            raise NoShape(f"{self._prefix}{name} is {value!r}")
        return value

    def most(self, name: str, default: int | None = None) -> int:
        """Like `number`; of a value per layer the largest, so that the sum errs on the safe side."""
        value = self._values.get(self._prefix + name)
        if isinstance(value, tuple) and value and all(type(each) is int for each in value):
            return _Fields({name: max(value)}).number(name)
        return self.number(name, default)
