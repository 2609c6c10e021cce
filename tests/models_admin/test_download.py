"""Headers and indexes over HTTP, from a server on loopback that has moods."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from models_admin.backends import download
from models_admin.backends.base import ModelMissing, Unreachable
from models_admin.backends.hub import Refused, Rules
from models_admin.fit import gguf
from tests.models_admin import gguf_files
from tests.models_admin.file_server import FileServer, serving
from tests.running_engines import smollm2

CONFIG = {"num_hidden_layers": 28, "hidden_size": 1536, "num_attention_heads": 12}


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        yield running


@pytest.fixture
def other() -> Iterator[FileServer]:
    with serving() as running:
        yield running


async def test_a_header_is_read_and_the_weights_are_not(server: FileServer) -> None:
    server.files["/m.gguf"] = smollm2().read_bytes()
    found = await download.read_header(f"{server.address}/m.gguf")
    assert found == gguf.read(smollm2())
    assert server.sent_bytes == gguf.FIRST_BYTES


async def test_ranges_grow_until_a_long_header_is_whole(server: FileServer) -> None:
    server.files["/m.gguf"] = gguf_files.model(vocabulary=150_000)
    found = await download.read_header(f"{server.address}/m.gguf")
    assert found.lengths["tokenizer.ggml.tokens"] == 150_000
    ranges = [asked for _, asked in server.asked]
    assert ranges == [f"bytes=0-{gguf.FIRST_BYTES - 1}", f"bytes={gguf.FIRST_BYTES}-{6 * gguf.FIRST_BYTES - 1}"]


@pytest.mark.parametrize("tells_length", [True, False])
async def test_a_server_without_ranges_is_cut_off_after_enough(server: FileServer, tells_length: bool) -> None:
    server.knows_ranges, server.tells_length = False, tells_length
    server.files["/m.gguf"] = smollm2().read_bytes()
    assert await download.read_header(f"{server.address}/m.gguf") == gguf.read(smollm2())
    assert server.sent_bytes < 30_000_000  # of 98 million: what the sockets' buffers took


@pytest.mark.parametrize("knows_ranges", [True, False])
async def test_a_long_header_comes_from_a_server_of_either_kind(server: FileServer, knows_ranges: bool) -> None:
    server.knows_ranges, server.tells_length = knows_ranges, False
    server.files["/m.gguf"] = gguf_files.model(vocabulary=150_000)
    assert (await download.read_header(f"{server.address}/m.gguf")).architecture == "llama"


@pytest.mark.parametrize("tells_length", [True, False])
async def test_a_file_that_is_cut_short_is_told(server: FileServer, tells_length: bool) -> None:
    server.tells_length = tells_length
    server.files["/m.gguf"] = gguf_files.model()[:300]
    with pytest.raises(gguf.Truncated):
        await download.read_header(f"{server.address}/m.gguf")


async def test_a_page_instead_of_a_model_is_told(server: FileServer) -> None:
    server.files["/m.gguf"] = b"<!doctype html><title>Log in</title>"
    with pytest.raises(gguf.NotGguf):
        await download.read_header(f"{server.address}/m.gguf")


async def test_another_range_than_asked_for_is_refused(server: FileServer) -> None:
    server.shifts_ranges = True
    server.files["/m.gguf"] = gguf_files.model()
    with pytest.raises(Refused, match="another range"):
        await download.read_header(f"{server.address}/m.gguf")


async def test_a_length_of_thousands_of_digits_is_no_length(server: FileServer) -> None:
    server.files["/m.gguf"] = gguf_files.model()
    server.told_size = "9" * 5000
    with pytest.raises(Refused, match="another range"):
        await download.read_header(f"{server.address}/m.gguf")


async def test_a_redirect_on_the_same_server_is_followed(server: FileServer) -> None:
    server.files["/real/m.gguf"] = gguf_files.model()
    server.redirects = {"/m.gguf": "/moved", "/moved": f"{server.address}/real/m.gguf"}
    assert (await download.read_header(f"{server.address}/m.gguf")).architecture == "llama"


async def test_a_redirect_to_a_trusted_place_is_followed(server: FileServer, other: FileServer) -> None:
    other.files["/m.gguf"] = gguf_files.model()
    server.redirects["/m.gguf"] = f"{other.address}/m.gguf"
    found = await download.read_header(f"{server.address}/m.gguf", Rules(trusted={other.place}))
    assert found.architecture == "llama"


async def test_a_redirect_into_the_own_network_is_refused_unasked(server: FileServer, other: FileServer) -> None:
    other.files["/m.gguf"] = gguf_files.model()
    server.redirects["/m.gguf"] = f"{other.address}/m.gguf"
    with pytest.raises(Refused):
        await download.read_header(f"{server.address}/m.gguf")
    assert other.asked == []


@pytest.mark.parametrize(
    "target",
    [
        "http://169.254.169.254/latest/meta-data/",
        "https://169.254.169.254/latest/meta-data/",
        "https://[fd00:ec2::254]/latest/",
        "https://[::ffff:169.254.169.254]/latest/",
        "https://100.100.100.200/latest/",
        "https://10.0.0.7/m.gguf",
        "https://192.168.1.1/m.gguf",
        "https://127.0.0.1/m.gguf",
        "https://[::1]/m.gguf",
        "https://2130706433/m.gguf",  # 127.0.0.1 as one number
        "https://localhost/m.gguf",  # a name that leads there
        "http://example.com/m.gguf",
        "https://example.com:6379/m.gguf",
        "file:///etc/passwd",
        "ftp://example.com/m.gguf",
        "https://user:secret@example.com/m.gguf",
        "https://[broken/m.gguf",
        "",
    ],
)
async def test_redirects_that_must_not_be_followed(server: FileServer, target: str) -> None:
    server.redirects["/m.gguf"] = target
    with pytest.raises(Refused):
        await download.read_header(f"{server.address}/m.gguf")


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/latest", "http://[fe80::1]/m.gguf", "gopher://x/m.gguf", "http:///m.gguf", "m.gguf"]
)
async def test_typed_addresses_that_are_refused(url: str) -> None:
    with pytest.raises(Refused):
        await download.read_header(url)


async def test_no_trust_leads_to_a_metadata_service(server: FileServer) -> None:
    server.redirects["/m.gguf"] = "http://169.254.169.254/m.gguf"
    with pytest.raises(Refused):
        await download.read_header(f"{server.address}/m.gguf", Rules(trusted={"169.254.169.254:80"}, seconds=2))


async def test_redirects_in_a_circle_end(server: FileServer) -> None:
    server.redirects = {"/a": "/b", "/b": "/a"}
    with pytest.raises(Refused, match="circle"):
        await download.read_header(f"{server.address}/a")


async def test_a_server_that_does_not_answer_is_left(server: FileServer) -> None:
    server.hangs = True
    with pytest.raises(Unreachable, match="no answer"):
        await download.read_header(f"{server.address}/m.gguf", Rules(seconds=0.2))


async def test_no_server_and_no_file_are_told_apart(server: FileServer) -> None:
    with pytest.raises(ModelMissing):
        await download.read_header(f"{server.address}/m.gguf")
    with pytest.raises(Unreachable):
        await download.read_header("http://127.0.0.1:9/m.gguf")


async def test_a_repository_tells_its_shape_and_size(server: FileServer) -> None:
    server.files["/r/config.json"] = json.dumps(CONFIG).encode()
    server.files["/r/model.safetensors.index.json"] = json.dumps({"metadata": {"total_size": 3554176000}}).encode()
    found = await download.read_repository(f"{server.address}/r")
    assert found.config == CONFIG
    assert found.index["metadata"]["total_size"] == 3554176000


async def test_a_model_in_one_file_is_measured_by_its_length(server: FileServer) -> None:
    server.files["/r/config.json"] = json.dumps(CONFIG).encode()
    server.files["/r/model.safetensors"] = (100).to_bytes(8, "little") + bytes(100) + bytes(1_000_000)
    found = await download.read_repository(f"{server.address}/r")
    assert found.index == {"metadata": {"total_size": 1_000_000}}
    assert server.sent_bytes < 10_000


@pytest.mark.parametrize("content", [b"[" * 100_000, b"\xff", b"[1]", b""])
async def test_what_is_no_config_is_refused(server: FileServer, content: bytes) -> None:
    server.files["/r/config.json"] = content
    with pytest.raises(Refused):
        await download.read_repository(f"{server.address}/r")
