"""Reads the header of a GGUF file without loading it: what the model is and how many bytes its tensors take.

Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3. The first megabytes of a file are
enough; `Truncated.needs` says how many at least, so that a reader over HTTP can go on. Every count and length is
checked against the limits below before anything is read or kept for it.

    GgufError
      NotGguf     something else, or a form of GGUF that nobody writes any more
      OldGgml     the format before GGUF
      TooNew      a version or tensor type that this reader does not know
      Truncated   more bytes are needed, or the file is shorter than its header says
      Hostile     what it says cannot be true, or is made to exhaust the reader
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from models_admin.fit.gguf_cursor import Cursor, GgufError, Hostile, NotGguf, OldGgml, TooNew, Truncated
from models_admin.fit.gguf_types import ARRAY, SCALARS, STRING, TENSOR_TYPES, Scalar, Value

__all__ = ["GgufError", "Header", "Hostile", "NotGguf", "OldGgml", "Tensor", "TooNew", "Truncated", "parse", "read"]

# The largest real header seen is 12 MB (a vocabulary of 262,144 with its merges).
HEADER_LIMIT = 64 * 1024 * 1024
FIRST_BYTES = 2 * 1024 * 1024
GROWTH = 6
MAX_FIELDS = 10_000
MAX_TENSORS = 100_000
MAX_ELEMENTS = 2_000_000
MAX_KEY_BYTES = 65_535
MAX_NAME_BYTES = 255
MAX_STRING_BYTES = 4 * 1024 * 1024
MAX_DIMENSIONS = 4
MAX_WEIGHTS_BYTES = 1 << 50
DEFAULT_ALIGNMENT = 32
# Arrays up to this length are kept (heads per layer); of longer ones (vocabulary) only the length.
KEPT_ELEMENTS = 1_024

# 'ggml', 'ggmf', 'ggjt', 'ggla' as 32-bit numbers, which files hold backwards.
_OLD_MAGIC = {word for name in (b"ggml", b"ggmf", b"ggjt", b"ggla") for word in (name, name[::-1])}


@dataclass(frozen=True)
class Tensor:
    """`shape` fastest dimension first; `offset` from the beginning of the data, in bytes."""

    name: str
    shape: tuple[int, ...]
    type: str
    offset: int
    bytes: int


@dataclass(frozen=True)
class Header:
    """`lengths` holds the number of elements of every array, kept or not."""

    version: int
    architecture: str
    metadata: Mapping[str, Value]
    lengths: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    data_offset: int

    @property
    def weights_bytes(self) -> int:
        return sum(tensor.bytes for tensor in self.tensors)

    @property
    def embedding_bytes(self) -> int:
        """Bytes of the token embedding, which llama.cpp leaves in the machine's memory."""
        return sum(tensor.bytes for tensor in self.tensors if tensor.name == "token_embd.weight")

    @property
    def file_bytes(self) -> int:
        """How long the file is at least."""
        return self.data_offset + max((tensor.offset + tensor.bytes for tensor in self.tensors), default=0)


def read(path: Path) -> Header:
    """The header of a file. Raises GgufError, also for a file that is shorter than its header says; OSError."""
    size, wanted = path.stat().st_size, FIRST_BYTES
    with path.open("rb") as file:
        data = b""
        while True:
            data += file.read(wanted - len(data))
            try:
                return parse(data, file_bytes=size)
            except Truncated as error:
                if error.needs > size:
                    raise
                wanted = min(max(error.needs, GROWTH * wanted), HEADER_LIMIT)


def parse(data: bytes, *, file_bytes: int | None = None) -> Header:
    """The header from the first bytes of a file that is `file_bytes` long. Raises GgufError."""
    cursor = Cursor(data, limit=HEADER_LIMIT)
    version = _version(cursor)
    tensor_count = cursor.count("tensors", MAX_TENSORS)
    field_count = cursor.count("fields", MAX_FIELDS)
    metadata, lengths = _fields(cursor, field_count)
    alignment = _alignment(metadata)
    tensors = tuple(_tensors(cursor, tensor_count, alignment))
    data_offset = -(-cursor.position // alignment) * alignment if tensors else cursor.position
    architecture = metadata.get("general.architecture")
    header = Header(
        version=version,
        architecture=architecture if isinstance(architecture, str) else "",
        metadata=MappingProxyType(metadata),
        lengths=MappingProxyType(lengths),
        tensors=tensors,
        data_offset=data_offset,
    )
    if file_bytes is not None and header.file_bytes > file_bytes:
        raise Truncated(f"its header speaks of {header.file_bytes} bytes", needs=header.file_bytes)
    return header


def _version(cursor: Cursor) -> int:
    magic = cursor.take(4, "the first four bytes")
    if magic in _OLD_MAGIC:
        raise OldGgml("a GGML file, the format before GGUF, which no engine of today loads")
    if magic != b"GGUF":
        raise NotGguf(f"no GGUF file: it begins with {magic!r}")
    version = cursor.uint32("the version")
    if version and version & 0xFFFF == 0:
        raise NotGguf("a GGUF file for big-endian machines")
    if version < 2:
        raise NotGguf(f"version {version} of GGUF was in use for a few weeks of 2023 and is not read any more")
    if version > 3:
        raise TooNew(f"version {version} of GGUF is newer than this reader")
    return version


def _fields(cursor: Cursor, count: int) -> tuple[dict[str, Value], dict[str, int]]:
    metadata: dict[str, Value] = {}
    lengths: dict[str, int] = {}
    elements_left = MAX_ELEMENTS
    for _ in range(count):
        key = cursor.string("a key", MAX_KEY_BYTES)
        if key in metadata or key in lengths:
            raise Hostile(f"the key {key!r} comes twice")
        kind = cursor.uint32(key)
        if kind == ARRAY:
            lengths[key], kept = _array(cursor, key, elements_left)
            elements_left -= lengths[key]
            if kept is not None:
                metadata[key] = kept
        else:
            metadata[key] = _scalar(cursor, key, kind)
    return metadata, lengths


def _scalar(cursor: Cursor, key: str, kind: int) -> Scalar:
    if kind == STRING:
        return cursor.string(key, MAX_STRING_BYTES)
    if kind not in SCALARS:
        raise Hostile(f"the key {key!r} has the unknown type {kind}")
    layout = SCALARS[kind]
    value: Scalar = layout.unpack(cursor.take(layout.size, key))[0]
    return value


def _array(cursor: Cursor, key: str, elements_left: int) -> tuple[int, tuple[Scalar, ...] | None]:
    """Length, and the values where they are few numbers."""
    kind = cursor.uint32(key)
    length = cursor.count(f"elements in {key!r}", elements_left)
    if kind == STRING:
        cursor.skip_strings(length, key, MAX_STRING_BYTES)
        return length, None
    if kind not in SCALARS:
        what = "arrays" if kind == ARRAY else f"the unknown type {kind}"
        raise Hostile(f"the key {key!r} is an array of {what}")
    layout = SCALARS[kind]
    content = cursor.take(length * layout.size, key)
    if length > KEPT_ELEMENTS:
        return length, None
    return length, tuple(value for (value,) in layout.iter_unpack(content))


def _alignment(metadata: Mapping[str, Value]) -> int:
    alignment = metadata.get("general.alignment", DEFAULT_ALIGNMENT)
    is_power = type(alignment) is int and 0 < alignment <= 1 << 20 and alignment & (alignment - 1) == 0
    if not (isinstance(alignment, int) and is_power):
        raise Hostile(f"an alignment of {alignment!r}")
    return alignment


def _tensors(cursor: Cursor, count: int, alignment: int) -> list[Tensor]:
    """All tensors; each has to begin where the one before it ends, as llama.cpp demands too."""
    found: list[Tensor] = []
    names: set[str] = set()
    expected = 0
    for _ in range(count):
        tensor = _tensor(cursor)
        if tensor.name in names:
            raise Hostile(f"the tensor {tensor.name!r} comes twice")
        if tensor.offset != expected:
            raise Hostile(f"the tensor {tensor.name!r} begins at {tensor.offset}, not at {expected}")
        expected = -(-(tensor.offset + tensor.bytes) // alignment) * alignment
        if expected > MAX_WEIGHTS_BYTES:
            raise Hostile(f"more than {MAX_WEIGHTS_BYTES} bytes of tensors")
        names.add(tensor.name)
        found.append(tensor)
    return found


def _tensor(cursor: Cursor) -> Tensor:
    name = cursor.string("a tensor's name", MAX_NAME_BYTES)
    dimensions = cursor.uint32(name)
    if dimensions > MAX_DIMENSIONS:
        raise Hostile(f"the tensor {name!r} has {dimensions} dimensions")
    shape = struct.unpack(f"<{dimensions}Q", cursor.take(8 * dimensions, name))
    kind = cursor.uint32(name)
    if kind not in TENSOR_TYPES:
        raise TooNew(f"the tensor {name!r} has type {kind}, which this reader does not know")
    type_name, block, block_bytes = TENSOR_TYPES[kind]
    values = 1
    for size in shape:
        values *= size
        if not 0 < values <= MAX_WEIGHTS_BYTES:
            raise Hostile(f"the tensor {name!r} has the shape {shape}")
    if (shape[0] if shape else 1) % block:
        raise Hostile(f"the tensor {name!r} has rows of {shape[0]} values in blocks of {block}")
    return Tensor(name, shape, type_name, cursor.uint64(name), values // block * block_bytes)
