"""What a model's name means now at its registry: digest, files and sizes. Nothing is loaded from here.

Ollama's library speaks the OCI protocol: `GET /v2/NAMESPACE/MODEL/manifests/TAG`, and the SHA-256 of that body is
what Ollama itself shows as the model's digest. Hugging Face: `GET /api/models/OWNER/NAME/revision/REVISION?blobs=true`.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeGuard
from urllib.parse import quote, urljoin, urlsplit

import httpx
import msgspec

from models_admin.backends.base import BackendError, BadRequest, ModelMissing, Overloaded, Unreachable, WrongKey

OLLAMA = "https://registry.ollama.ai"
HUGGING_FACE = "https://huggingface.co"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
# Some registries answer a manifest in OCI's own words only.
ACCEPTED = f"{MANIFEST}, application/vnd.oci.image.manifest.v1+json"
WEIGHTS_LAYER = "application/vnd.ollama.image.model"
MAX_MANIFEST_BYTES = 256 * 1024
# A listing of 163 shards with blobs is 100 kB.
MAX_LISTING_BYTES = 8 * 1024 * 1024
DEADLINE_SECONDS = 20.0
MAX_REDIRECTS = 3


@dataclass(frozen=True)
class Registries:
    """Where to ask. The token goes to Hugging Face alone."""

    ollama: str = OLLAMA
    hugging_face: str = HUGGING_FACE
    token: str = field(default="", repr=False)


@dataclass(frozen=True)
class RemoteFile:
    """A file of a model. `digest` is the SHA-256 in hex where the registry tells it."""

    name: str
    bytes: int
    digest: str = ""


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


class Refused(BadRequest):
    """The registry's answer is not one that may be trusted: too long, malformed, or leads to another host."""

    code = "registry_refused"


async def ollama(where: Registries, namespace: str, model: str, tag: str) -> Resolved:
    """Raises BackendError."""
    path = "/".join(quote(part, safe="") for part in ("v2", namespace, model, "manifests", tag))
    body = await _get(where.ollama, f"/{path}", {"Accept": ACCEPTED}, MAX_MANIFEST_BYTES)
    manifest = _object(body)
    layers = manifest.get("layers")
    if not isinstance(layers, list) or not layers:
        raise Refused("the manifest names no layers")
    config = manifest.get("config")
    files = tuple(_layer(row) for row in [*layers, *([config] if isinstance(config, dict) else [])])
    return Resolved(hashlib.sha256(body).hexdigest(), files)


async def hugging_face(where: Registries, repository: str, revision: str = "main") -> Resolved:
    """`repository` is OWNER/NAME. Raises BackendError."""
    name = "/".join(quote(part, safe="") for part in repository.split("/"))
    if not where.token.isascii() or not where.token.isprintable():
        raise WrongKey("the token is none")
    headers = {"Authorization": f"Bearer {where.token}"} if where.token else {}
    path = f"/api/models/{name}/revision/{quote(revision, safe='')}?blobs=true"
    listing = _object(await _get(where.hugging_face, path, headers, MAX_LISTING_BYTES))
    commit, siblings = listing.get("sha"), listing.get("siblings")
    if not _is_hex(commit, 40) or not isinstance(siblings, list):
        raise Refused("the listing names no commit or no files")
    return Resolved(commit, tuple(_sibling(row) for row in siblings))


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
    return RemoteFile(name, _size(row.get("size") or 0), digest if _is_hex(digest, 64) else "")


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Refused("a size is no number of bytes")
    return value


def _is_hex(value: Any, length: int) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) == length and set(value) <= set("0123456789abcdef")


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Refused("the answer is no JSON") from error
    if not isinstance(found, dict):
        raise Refused("the answer is no object")
    return found


async def _get(base: str, path: str, headers: Mapping[str, str], most: int) -> bytes:
    """The body of a 200, at most `most` bytes, within DEADLINE_SECONDS for all of it."""
    try:
        # Companies reach the internet through a proxy, which the environment names.
        async with asyncio.timeout(DEADLINE_SECONDS), httpx.AsyncClient(trust_env=True) as client:
            return await _follow(client, base.rstrip("/") + path, headers, most)
    except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
        raise Unreachable(f"{type(error).__name__}: {error}") from error


async def _follow(client: httpx.AsyncClient, url: str, headers: Mapping[str, str], most: int) -> bytes:
    # A renamed repository answers with its new path. Another host would get the token, or be one behind our wall.
    for _hop in range(MAX_REDIRECTS + 1):
        async with client.stream("GET", url, headers={"Accept-Encoding": "identity", **headers}) as response:
            if not response.is_redirect:
                return await _body(response, most)
            target = urljoin(url, response.headers.get("location", ""))
        if _origin(target) != _origin(url):
            raise Refused(f"it leads to another host: {urlsplit(target).netloc}")
        url = target
    raise Refused("it leads in a circle")


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc


async def _body(response: httpx.Response, most: int) -> bytes:
    if response.status_code != 200:
        raise _error(response)
    body = bytearray()
    async for chunk in response.aiter_raw():
        body += chunk
        if len(body) > most:
            raise Refused(f"the answer is longer than {most} bytes")
    return bytes(body)


def _error(response: httpx.Response) -> BackendError:
    status = response.status_code
    if status == 404:
        return ModelMissing("no such name")
    if status in {401, 403}:  # Hugging Face says 401 to a repository that is not there as well
        return WrongKey("not without a token that may see it")
    if status == 429 or status >= 500:
        return Overloaded(f"status {status}")
    return Refused(f"status {status}")
