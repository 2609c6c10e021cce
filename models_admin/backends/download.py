"""The first bytes of model files over HTTP: enough to know a model before it is loaded.

Byte ranges grow until a GGUF header is whole. A server that knows no ranges is cut off once it has sent enough.
`hub_http` is loaded when something is asked: web processes do without an HTTP client until then.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from models_admin.backends.base import ModelMissing
from models_admin.backends.hub import Part, Refused, Rules, object_in
from models_admin.fit import gguf

# The index of R1's 91,991 tensors has 9 MB.
MAX_JSON_BYTES = 32 * 1024 * 1024
LENGTH_BYTES = 8  # a safetensors file begins with the length of its header


@dataclass(frozen=True)
class Repository:
    """config.json and the index of a repository in safetensors format."""

    config: dict[str, Any]
    index: dict[str, Any]


async def read_header(url: str, rules: Rules | None = None) -> gguf.Header:
    """The header of a GGUF file at an address. Raises BackendError, or GgufError for what is read."""
    from models_admin.backends import hub_http

    rules = rules or Rules()
    async with hub_http.told_as_ours(rules.seconds):
        data, size, wanted = b"", None, gguf.FIRST_BYTES
        while True:
            part = await hub_http.read_part(url, rules, start=len(data), end=wanted)
            data = data + part.content if part.start else part.content
            size = part.file_bytes if part.file_bytes is not None else size
            try:
                return gguf.parse(data, file_bytes=size)
            except gguf.Truncated as error:
                if len(data) < wanted or (size is not None and error.needs > size):
                    raise
                wanted = min(max(error.needs, gguf.GROWTH * wanted), gguf.HEADER_LIMIT)


async def read_repository(url: str, rules: Rules | None = None) -> Repository:
    """The two files of a folder at an address; of a model in one file its length is the index. Raises BackendError."""
    from models_admin.backends import hub_http

    allowed = rules or Rules()

    async def read_object(name: str) -> dict[str, Any]:
        return object_in(await hub_http.read_whole(f"{url}/{name}", allowed, most=MAX_JSON_BYTES), name)

    async with hub_http.told_as_ours(allowed.seconds):
        config = await read_object("config.json")
        try:
            index = await read_object("model.safetensors.index.json")
        except ModelMissing:
            first = await hub_http.read_part(f"{url}/model.safetensors", allowed, start=0, end=LENGTH_BYTES)
            index = {"metadata": {"total_size": _tensor_bytes(first)}}
    return Repository(config, index)


def _tensor_bytes(first: Part) -> int:
    """Of a safetensors file, by its first bytes."""
    length = int.from_bytes(first.content, "little")
    if first.file_bytes is None or len(first.content) < LENGTH_BYTES or length >= first.file_bytes:
        raise Refused("the server does not tell how long the file is")
    return first.file_bytes - LENGTH_BYTES - length
