"""Asking registries what a name means: the right digest, and no harm from a registry that lies."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models_admin.backends import registry
from models_admin.backends.base import BackendError, ModelMissing, Overloaded, Unreachable, WrongKey
from models_admin.backends.hub import Refused
from models_admin.backends.registry import Registries
from tests.models_admin.registry_server import WEIGHTS, Answer, RegistryServer, listing, manifest, registry_server

COMMIT = "a" * 40
FILE = "c" * 64
MANIFEST = "/v2/library/deepseek-r1/manifests/7b"
LISTING = "/api/models/deepseek-ai/DeepSeek-R1/revision/main?blobs=true"


@pytest.fixture
def server() -> Iterator[RegistryServer]:
    with registry_server() as server:
        yield server


@pytest.fixture
def where(server: RegistryServer) -> Registries:
    return Registries(server.url, server.url, "hf_secret")


async def test_a_tag_is_the_digest_of_its_manifest(server: RegistryServer, where: Registries) -> None:
    digest = server.serve_model("library/deepseek-r1", "7b", manifest())
    found = await registry.ollama(where, "library", "deepseek-r1", "7b")
    assert found.digest == digest
    assert found.bytes == WEIGHTS + 387 + 488
    assert max(found.files, key=lambda file: file.bytes).name == "application/vnd.ollama.image.model"


async def test_a_repository_is_its_commit_and_files(server: RegistryServer, where: Registries) -> None:
    files = {"config.json": (1_234, ""), "model-00001-of-00001.safetensors": (7_000_000_000, FILE)}
    server.serve_repository("deepseek-ai/DeepSeek-R1", listing(COMMIT, **files))
    found = await registry.hugging_face(where, "deepseek-ai/DeepSeek-R1")
    assert (found.digest, found.bytes) == (COMMIT, 7_000_001_234)
    weights = found.named("model-00001-of-00001.safetensors")
    assert weights is not None and weights.digest == FILE


async def test_the_token_goes_to_hugging_face_alone(server: RegistryServer, where: Registries) -> None:
    server.serve_model("library/deepseek-r1", "7b", manifest())
    server.serve_repository("deepseek-ai/DeepSeek-R1", listing(COMMIT))
    await registry.ollama(where, "library", "deepseek-r1", "7b")
    await registry.hugging_face(where, "deepseek-ai/DeepSeek-R1")
    (_manifest, first), (_listing, second) = server.asked
    assert "authorization" not in first and second["authorization"] == "Bearer hf_secret"
    assert "hf_secret" not in repr(where)


async def test_a_renamed_repository_is_followed_on_the_same_host(server: RegistryServer, where: Registries) -> None:
    server.answers[LISTING] = Answer(307, headers={"Location": "/api/models/new/name/revision/main?blobs=true"})
    server.serve_repository("new/name", listing(COMMIT))
    assert (await registry.hugging_face(where, "deepseek-ai/DeepSeek-R1")).digest == COMMIT


async def test_no_other_host_is_followed(server: RegistryServer, where: Registries) -> None:
    with registry_server() as other:
        other.serve_model("library/deepseek-r1", "7b", manifest())
        server.answers[MANIFEST] = Answer(302, headers={"Location": other.url + MANIFEST})
        server.answers[LISTING] = Answer(302, headers={"Location": other.url + LISTING})
        with pytest.raises(Refused, match="another host"):
            await registry.ollama(where, "library", "deepseek-r1", "7b")
        with pytest.raises(Refused, match="another host"):
            await registry.hugging_face(where, "deepseek-ai/DeepSeek-R1")
        assert other.asked == []


@pytest.mark.parametrize(
    "target", ["https://[broken/", "http://127.0.0.1:many/", "//other.example/x", "file:///etc/passwd"]
)
async def test_a_redirect_to_no_address_is_refused(server: RegistryServer, where: Registries, target: str) -> None:
    server.answers[MANIFEST] = Answer(302, headers={"Location": target})
    with pytest.raises(BackendError):
        await registry.ollama(where, "library", "deepseek-r1", "7b")


async def test_a_metadata_service_is_no_registry() -> None:
    with pytest.raises(Refused, match="no address"):
        await registry.ollama(Registries("http://169.254.169.254", ""), "library", "deepseek-r1", "7b")


async def test_a_circle_ends(server: RegistryServer, where: Registries) -> None:
    server.answers[MANIFEST] = Answer(302, headers={"Location": MANIFEST})
    with pytest.raises(Refused, match="circle"):
        await registry.ollama(where, "library", "deepseek-r1", "7b")


async def test_an_endless_answer_is_left(server: RegistryServer, where: Registries) -> None:
    server.answers[MANIFEST] = Answer(200, is_endless=True)
    with pytest.raises(Refused, match="longer than"):
        await registry.ollama(where, "library", "deepseek-r1", "7b")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"layers":[]}',
        b'{"layers":["x"]}',
        b'{"layers":[{"digest":"sha256:zz","size":1}]}',
        json.dumps({"layers": [{"digest": f"sha256:{FILE}", "size": -1}]}).encode(),
        json.dumps({"layers": [{"digest": f"sha256:{FILE}", "size": "many"}]}).encode(),
        json.dumps({"layers": [{"digest": f"sha256:{FILE}", "size": 2**63}]}).encode(),  # more than a column holds
        json.dumps({"layers": [{"digest": f"sha256:{FILE}", "size": 2**50}] * 2}).encode(),
        b"[" * 100_000,
    ],
)
async def test_what_is_no_manifest_is_refused(server: RegistryServer, where: Registries, body: bytes) -> None:
    server.answers[MANIFEST] = Answer(200, body)
    with pytest.raises(Refused):
        await registry.ollama(where, "library", "deepseek-r1", "7b")


@pytest.mark.parametrize("body", [b"{}", b'{"sha":"main","siblings":[]}', b'{"siblings":[]}', b"null"])
async def test_what_is_no_listing_is_refused(server: RegistryServer, where: Registries, body: bytes) -> None:
    server.answers[LISTING] = Answer(200, body)
    with pytest.raises(Refused):
        await registry.hugging_face(where, "deepseek-ai/DeepSeek-R1")


@pytest.mark.parametrize(
    ("status", "error"), [(404, ModelMissing), (401, WrongKey), (403, WrongKey), (429, Overloaded), (503, Overloaded)]
)
async def test_refusals_have_their_kinds(
    server: RegistryServer, where: Registries, status: int, error: type[Exception]
) -> None:
    server.answers[MANIFEST] = Answer(status)
    with pytest.raises(error):
        await registry.ollama(where, "library", "deepseek-r1", "7b")


async def test_a_registry_that_is_not_there_is_unreachable(where: Registries) -> None:
    nowhere = Registries("http://127.0.0.1:9", "http://127.0.0.1:9")
    with pytest.raises(Unreachable):
        await registry.ollama(nowhere, "library", "deepseek-r1", "7b")


async def test_a_hostile_name_stays_one_part_of_the_path(server: RegistryServer, where: Registries) -> None:
    with pytest.raises(ModelMissing):
        await registry.ollama(where, "library", "../../admin", "7b?x=1#y")
    (path, _headers) = server.asked[0]
    assert path == "/v2/library/..%2F..%2Fadmin/manifests/7b%3Fx=1%23y"


async def test_a_token_that_is_no_header_is_told_before_it_is_sent(server: RegistryServer) -> None:
    with pytest.raises(WrongKey):
        await registry.hugging_face(Registries(server.url, server.url, "ключ\r\n"), "a/b")
    assert server.asked == []
