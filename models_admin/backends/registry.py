"""What a model's name means now at its registry: digest, files and sizes. Nothing is loaded from here.

Ollama's library speaks the OCI protocol: `GET /v2/NAMESPACE/MODEL/manifests/TAG`, and the SHA-256 of that body is
what Ollama itself shows as the model's digest. Hugging Face: `GET /api/models/OWNER/NAME/revision/REVISION?blobs=true`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import quote

from models_admin.backends.base import WrongKey
from models_admin.backends.hub import Refused, Rules, object_in

OLLAMA = "https://registry.ollama.ai"
HUGGING_FACE = "https://huggingface.co"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# Some registries answer a manifest in OCI's own words only.
ACCEPTED = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"
MAX_MANIFEST_BYTES = 256 * 1024
# A listing of 163 shards with blobs is 100 kB.
MAX_LISTING_BYTES = 8 * 1024 * 1024
# What a single question may take: an admin waits for it in the browser.
DEADLINE_SECONDS = 20.0
# More than all disks of a site hold, and what a database's column takes.
MAX_BYTES = 1 << 50


@dataclass(frozen=True)
class Registries:
    """Where to ask. The token goes to Hugging Face alone."""

    ollama: str = OLLAMA
    hugging_face: str = HUGGING_FACE
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model. `digest` is its SHA-256 in hex, `git_digest` the id of its blob, '' where nothing tells it."""

    name: str
    bytes: int
    digest: str = ""
    git_digest: str = ""


@dataclass(frozen=True)
class Resolved:
    """What a name means now: 64 hex digits of a manifest, or 40 of a commit. `bytes` is the sum of all files."""

    digest: str
    files: tuple[RemoteFile, ...]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files)

    def named(self, name: str) -> RemoteFile | None:
        return next((file for file in self.files if file.name == name), None)


async def ollama(where: Registries, namespace: str, model: str, tag: str) -> Resolved:
    """Raises BackendError."""
    path = "/".join(quote(part, safe="") for part in ("v2", namespace, model, "manifests", tag))
    body = await _get(where.ollama, f"/{path}", {"Accept": ACCEPTED}, MAX_MANIFEST_BYTES)
    manifest = object_in(body, "the manifest")
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        raise Refused("the manifest names no layers")
    config = manifest.get("config")
    files = tuple(_layer(row) for row in [*layers, *([config] if isinstance(config, dict) else [])])
    return _sensible(Resolved(hashlib.sha256(body).hexdigest(), files))


async def hugging_face(where: Registries, repository: str, revision: str = "main") -> Resolved:
    """`repository` is OWNER/NAME. Raises BackendError."""
    name = "/".join(quote(part, safe="") for part in repository.split("/"))
    if not where.token.isascii() or not where.token.isprintable():
        raise WrongKey("the token is none")
    headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
    path = f"/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
    body = await _get(where.hugging_face, path, headers, MAX_LISTING_BYTES)
    listing = object_in(body, "the listing")
    commit, siblings = listing.get("sha"), listing.get("siblings")
    if not _is_hex(commit, 40) or not isinstance(siblings, list):
        raise Refused("the listing names no commit or no files")
    return _sensible(Resolved(commit, tuple(_sibling(row) for row in siblings)))


def _sensible(resolved: Resolved) -> Resolved:
    if resolved.bytes > MAX_BYTES:
        raise Refused("its files are larger than any model")
    return resolved


def _layer(row: Any) -> RemoteFile:
    digest = row.get("digest") if isinstance(row, dict) else None
    if not isinstance(digest, str) or not _is_hex(digest.removeprefix("sha256:"), 64):
        raise Refused("a layer has no digest")
    return RemoteFile(str(row.get("mediaType", "")), _size(row.get("size")), digest.removeprefix("sha256:"))


def _sibling(row: Any) -> RemoteFile:
    name = row.get("rfilename") if isinstance(row, dict) else None
    if not isinstance(name, str):
        raise Refused("a file has no name")
    lfs = row.get("lfs")
    digest = lfs.get("sha256") if isinstance(lfs, dict) else ""
    # Of a large file git keeps a pointer only: its blob is not the file.
    blob = row.get("blobId") if not isinstance(lfs, dict) else ""
    size = _size(row.get("size") or 0)
    return RemoteFile(name, size, digest if _is_hex(digest, 64) else "", blob if _is_hex(blob, 40) else "")


def _size(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_BYTES:
        raise Refused("a size is no number of bytes")
    return value


def _is_hex(value: Any, length: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) == length and set(value) <= set("0123456789abcdef")


async def _get(base: str, path: str, headers: Mapping[str, str], most: int) -> bytes:
    """The body of a 200, at most `most` bytes. A renamed repository answers with its new path on the same host."""
    from models_admin.backends import hub_http  # loads an HTTP client, which web processes do without until here

    rules = Rules(stays=True, headers=headers, seconds=DEADLINE_SECONDS)
    async with hub_http.told_as_ours(rules.seconds):
        return await hub_http.read_whole(base.rstrip("/") + path, rules, most=most)
