"""GGUF headers as people and enemies write them."""

from __future__ import annotations

import struct
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models_admin.fit import gguf
from models_admin.fit.shape_reading import NoShape, from_gguf
from tests.models_admin import gguf_files
from tests.models_admin.gguf_files import field, header, model, tensor, text
from tests.running_engines import MODEL, smollm2

HUGE = 1 << 63


def test_both_models_at_hand_are_read_to_the_byte() -> None:
    tiny, smol = gguf.read(MODEL), gguf.read(smollm2())
    assert (tiny.version, tiny.architecture, tiny.lengths["tokenizer.ggml.tokens"]) == (3, "qwen2", 1278)
    assert (smol.architecture, len(smol.tensors), smol.metadata["general.license"]) == ("llama", 272, "apache-2.0")
    assert smol.embedding_bytes == 49152 * 576 // 32 * 34
    for path, found in ((MODEL, tiny), (smollm2(), smol)):
        assert found.file_bytes == path.stat().st_size


def test_the_shape_of_both_models_is_read() -> None:
    shape, weights = from_gguf([gguf.read(smollm2())])
    assert (shape.layers, shape.attention_heads, shape.kv_heads, shape.key_length) == (30, 9, 3, 64)
    assert (shape.hidden_size, shape.feed_forward, shape.vocab_size, shape.context_length) == (576, 1536, 49152, 8192)
    # Its output layer is the token embedding, so that nothing of it stays behind.
    assert (weights.total, weights.embedding_bytes) == (96_576_768, 0)
    assert from_gguf([gguf.read(MODEL)])[0].kv_bytes_per_token() == 4 * 2 * (32 + 32) * 2


def test_the_shape_tells_compressed_from_expanded_attention() -> None:
    def deepseek(*more: bytes) -> bytes:
        sizes = {"block_count": 61, "context_length": 163840, "embedding_length": 7168, "attention.head_count": 128}
        fields = [field(f"deepseek2.{key}", value) for key, value in sizes.items()]
        return header([field("general.architecture", "deepseek2"), *fields, *more])

    def entry(key: str, value: int) -> bytes:
        return field(f"deepseek2.attention.{key}", value)

    rank = entry("kv_lora_rank", 512)
    old = deepseek(rank, entry("head_count_kv", 128), entry("key_length", 192), entry("value_length", 128))
    new = deepseek(
        rank, entry("head_count_kv", 1), entry("key_length", 576), entry("value_length", 512),
        entry("key_length_mla", 192), entry("value_length_mla", 128), field("deepseek2.rope.dimension_count", 64),
    )  # fmt: skip
    expanded, compressed = from_gguf([gguf.parse(old)])[0], from_gguf([gguf.parse(new)])[0]
    assert expanded.kv_bytes_per_token() == 4_997_120
    assert compressed.kv_bytes_per_token() == 70_272
    assert compressed.expanded() == expanded


def test_version_2_is_read_like_version_3() -> None:
    old, new = gguf.parse(model(version=2)), gguf.parse(model())
    assert old.tensors == new.tensors and old.version == 2


def test_heads_that_differ_by_layer_count_as_the_most() -> None:
    fields = {"block_count": 2, "embedding_length": 64, "context_length": 99, "attention.head_count": 4}
    written = [field("general.architecture", "x"), *(field(f"x.{key}", value) for key, value in fields.items())]
    found, _ = from_gguf([gguf.parse(header([*written, field("x.attention.head_count_kv", [1, 4], "i32")]))])
    assert found.kv_heads == 4


@pytest.mark.parametrize("value", [0, None, "four"])
def test_a_header_without_sensible_dimensions_is_told(value: object) -> None:
    written = [] if value is None else [field("llama.block_count", value)]
    found = gguf.parse(header([field("general.architecture", "llama"), *written]))
    with pytest.raises(NoShape):
        from_gguf([found])


def test_the_reader_says_how_many_bytes_it_needs_until_the_header_is_whole() -> None:
    whole = model(vocabulary=500)
    size, rounds = 0, 0
    while True:
        try:
            assert gguf.parse(whole[:size], file_bytes=len(whole)).file_bytes == len(whole)
            break
        except gguf.Truncated as error:
            assert size < error.needs <= len(whole)
            size, rounds = error.needs, rounds + 1
    assert rounds > 500


def test_a_file_shorter_than_its_header_says_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(model()[:-1])
    with pytest.raises(gguf.Truncated) as caught:
        gguf.read(path)
    assert caught.value.needs == len(model())


@pytest.mark.parametrize("magic", [b"lmgg", b"fmgg", b"tjgg", b"ggml", b"ggjt"])
def test_a_ggml_file_is_refused_as_the_old_format(magic: bytes) -> None:
    with pytest.raises(gguf.OldGgml, match="the format before GGUF"):
        gguf.parse(magic + bytes(60))


@pytest.mark.parametrize("content", [b"PK\x03\x04" + bytes(60), header(version=1), header(version=3 << 24)])
def test_what_is_no_gguf_is_refused(content: bytes) -> None:
    with pytest.raises(gguf.NotGguf):
        gguf.parse(content)


@pytest.mark.parametrize("content", [header(version=4), header(tensors=[tensor("a", (32,), 99, 0)])])
def test_what_is_newer_than_the_reader_is_told(content: bytes) -> None:
    with pytest.raises(gguf.TooNew):
        gguf.parse(content)


def counts(tensors: int, fields: int) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", 3, tensors, fields)


HOSTILE = {
    "2^63 tensors": counts(HUGE, 0),
    "2^63 fields": counts(0, HUGE),
    "a key of 2^63 bytes": counts(0, 1) + struct.pack("<Q", HUGE),
    "a string of 1 GB": counts(0, 1) + text("k") + struct.pack("<IQ", 8, 1 << 30),
    "an array of 2^63 strings": counts(0, 1) + text("k") + struct.pack("<IIQ", 9, 8, HUGE),
    "an array of 2^61 numbers": counts(0, 1) + text("k") + struct.pack("<IIQ", 9, 10, 1 << 61),
    "a nested array": counts(0, 1) + text("k") + struct.pack("<IIQIQ", 9, 9, 1, 9, 1),
    "a value of unknown type": counts(0, 1) + text("k") + struct.pack("<I", 77),
    "an array of unknown type": counts(0, 1) + text("k") + struct.pack("<IIQ", 9, 77, 1),
    "a key that is no UTF-8": header([field(b"\xff\xfe", 1)]),
    "a value that is no UTF-8": header([field("general.architecture", b"\xc3(")]),
    "a tensor's name that is no UTF-8": header(tensors=[tensor(b"\x80", (32,), 0, 0)]),
    "a key twice": header([field("a", 1), field("a", 2)]),
    "a tensor twice": header(tensors=[tensor("a", (8,), 0, 0), tensor("a", (8,), 0, 32)]),
    "a tensor past 2^63": header(tensors=[tensor("a", (32,), 0, HUGE)]),
    "tensors on top of each other": header(tensors=[tensor("a", (8,), 0, 0), tensor("b", (8,), 0, 0)]),
    "a shape of 2^63": header(tensors=[tensor("a", (HUGE, HUGE), 0, 0)]),
    "an empty shape": header(tensors=[tensor("a", (0,), 0, 0)]),
    "rows that are no whole blocks": header(tensors=[tensor("a", (33,), gguf_files.Q8_0, 0)]),
    "9 dimensions": header(tensors=[tensor("a", (1,) * 9, 0, 0)]),
    "an alignment of 0": header([field("general.alignment", 0)]),
    "an alignment of 33": header([field("general.alignment", 33)]),
    "an alignment of true": header([field("general.alignment", True, "bool")]),
}  # fmt: skip


@pytest.mark.parametrize("content", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_header_is_refused_with_a_reason(content: bytes) -> None:
    with pytest.raises(gguf.Hostile) as caught:
        gguf.parse(content)
    assert len(str(caught.value)) > 10


def test_a_gigabyte_of_metadata_is_refused_by_its_first_bytes(tmp_path: Path) -> None:
    path = tmp_path / "long.gguf"
    first = counts(0, 1) + text("k") + struct.pack("<IIQ", 9, 4, 250_000_000)
    with path.open("wb") as file:
        file.write(first)
        file.truncate(1 << 30)  # sparse
    with pytest.raises(gguf.Hostile):
        gguf.read(path)
    # Not Truncated: nobody goes on to load what would be refused anyhow.
    with pytest.raises(gguf.Hostile):
        gguf.parse(first)


def test_many_short_strings_end_at_a_limit() -> None:
    many = [field(f"k{n}", [""] * 900_000) for n in range(3)]
    with pytest.raises(gguf.Hostile, match="elements"):
        gguf.parse(header(many))


def test_a_header_that_never_ends_is_refused_where_no_real_one_reaches() -> None:
    long = b"\0" * gguf.MAX_STRING_BYTES
    fields = [field(f"k{n}", long) for n in range(gguf.HEADER_LIMIT // len(long) + 1)]
    with pytest.raises(gguf.Hostile, match="at most"):
        gguf.parse(header(fields))


@given(st.binary(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    for data in (content, b"GGUF\x03\0\0\0" + content):
        with suppress(gguf.GgufError):
            gguf.parse(data, file_bytes=len(data))


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_a_header_with_changed_bytes_is_read_or_refused(data: st.DataObject) -> None:
    content = bytearray(model(vocabulary=8))
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 700))] = data.draw(st.integers(0, 255))
    try:
        found = gguf.parse(bytes(content), file_bytes=len(content))
    except gguf.GgufError:
        return
    assert found.file_bytes <= len(content)
    with suppress(NoShape):
        from_gguf([found])


@given(st.integers(0, 5_000), st.integers(2, 3))
@settings(max_examples=200, deadline=None)
def test_every_cut_of_a_file_needs_more_than_it_has(length: int, version: int) -> None:
    whole = model(vocabulary=8, version=version)
    try:
        gguf.parse(whole[:length], file_bytes=min(length, len(whole)))
    except gguf.Truncated as error:
        assert length < error.needs <= len(whole)
    else:
        assert length >= len(whole)
