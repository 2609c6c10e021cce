"""Makes GGUF headers for tests, honest ones and others."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any

NUMBERS = {"u8": (0, "B"), "i8": (1, "b"), "u32": (4, "I"), "i32": (5, "i"), "f32": (6, "f"), "bool": (7, "?")}
NUMBERS |= {"u64": (10, "Q"), "i64": (11, "q"), "f64": (12, "d")}
Q8_0 = 8


def text(value: str | bytes) -> bytes:
    content = value.encode() if isinstance(value, str) else value
    return struct.pack("<Q", len(content)) + content


def field(key: str | bytes, value: Any, kind: str = "u32") -> bytes:
    """One key with its value; lists become arrays."""
    if isinstance(value, list):
        if value and isinstance(value[0], str):
            return text(key) + struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(text, value))
        number, letter = NUMBERS[kind]
        return text(key) + struct.pack(f"<IIQ{len(value)}{letter}", 9, number, len(value), *value)
    if isinstance(value, str | bytes):
        return text(key) + struct.pack("<I", 8) + text(value)
    number, letter = NUMBERS[kind]
    return text(key) + struct.pack(f"<I{letter}", number, value)


def tensor(name: str | bytes, shape: Sequence[int], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def header(
    fields: Sequence[bytes] = (), tensors: Sequence[bytes] = (), *, version: int = 3, magic: bytes = b"GGUF"
) -> bytes:
    counts = struct.pack("<IQQ", version, len(tensors), len(fields))
    return magic + counts + b"".join(fields) + b"".join(tensors)


def model(*, vocabulary: int = 64, output: bool = True, version: int = 3, more: Sequence[bytes] = ()) -> bytes:
    """A whole file of a small llama; `vocabulary` makes its header long."""
    fields = [
        field("general.architecture", "llama"),
        field("llama.block_count", 2),
        field("llama.context_length", 4096),
        field("llama.embedding_length", 64),
        field("llama.feed_forward_length", 128),
        field("llama.attention.head_count", 4),
        field("llama.attention.head_count_kv", 2),
        field("tokenizer.ggml.tokens", [f"token {n}" for n in range(vocabulary)]),
        *more,
    ]
    tensors, offset = [], 0
    for name, shape in [("token_embd.weight", (64, 32)), ("blk.0.attn_q.weight", (64, 64))] + [
        ("output.weight", (64, 32))
    ] * output:
        tensors.append(tensor(name, shape, Q8_0, offset))
        offset += -(-(shape[0] * shape[1] // 32 * 34) // 32) * 32
    head = header(fields, tensors, version=version)
    return head + bytes(-len(head) % 32) + bytes(offset)
