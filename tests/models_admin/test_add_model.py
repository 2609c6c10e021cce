"""Adding models by name at the command line: pinned by digest, refused in words, never followed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import translation

from models_admin.family import artifacts
from models_admin.models import Artifact, CatalogueModel
from tests.accounts.racing import race
from tests.models_admin import gguf_files
from tests.models_admin.registry_server import WEIGHTS, Answer, RegistryServer, listing, manifest, registry_server

pytestmark = pytest.mark.django_db
COMMIT, NEW_COMMIT = "a" * 40, "b" * 40
FILE = "c" * 64
SEVEN = "bartowski/DeepSeek-R1-Distill-Qwen-7B-GGUF"


@pytest.fixture(autouse=True)
def server(settings: Any) -> Iterator[RegistryServer]:
    with registry_server() as server:
        settings.OLLAMA_REGISTRY = settings.HF_ENDPOINT = server.url
        yield server


def add(*words: str) -> tuple[str, str]:
    """What the command said, and what it warned of."""
    out, err = StringIO(), StringIO()
    call_command("add_model", *words, stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


@pytest.mark.parametrize("name", ["deepseek-r1:7b", "7b", "DeepSeek-R1:7B", "library/deepseek-r1:7b"])
def test_a_tag_is_pinned_to_its_manifest(server: RegistryServer, name: str) -> None:
    digest = server.serve_model("library/deepseek-r1", "7b", manifest())
    said, warned = add(name)
    row = Artifact.objects.get()
    assert (row.source, row.ref, row.digest, row.quantisation) == ("ollama", "deepseek-r1:7b", digest, "Q4_K_M")
    assert row.bytes == WEIGHTS + 387 + 488
    assert (row.model.key, row.model.name, row.model.temperature) == ("deepseek-r1:7b", "R1 7B", 0.6)
    assert digest[:12] in said and warned == ""


def test_a_variant_of_a_tag_keeps_its_tag(server: RegistryServer) -> None:
    server.serve_model("library/deepseek-r1", "7b-qwen-distill-q8_0", manifest("eight bits"))
    add("deepseek-r1:7b-qwen-distill-q8_0")
    row = Artifact.objects.get()
    assert (row.ref, row.quantisation) == ("deepseek-r1:7b-qwen-distill-q8_0", "Q8_0")
    assert row.model.key == "deepseek-r1:7b"


def test_another_model_is_added_by_its_name(server: RegistryServer) -> None:
    digest = server.serve_model("someone/smol", "135m", manifest("smol"))
    add("someone/smol:135m")
    row = Artifact.objects.get()
    assert (row.ref, row.digest, row.model.key) == ("someone/smol:135m", digest, "someone/smol:135m")


def test_a_repository_is_pinned_to_its_commit(server: RegistryServer) -> None:
    files = {"config.json": (1_000, ""), "model.safetensors": (15_231_271_864, FILE)}
    server.serve_repository("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", listing(COMMIT, **files))
    add("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B")
    row = Artifact.objects.get()
    assert (row.source, row.digest, row.bytes, row.quantisation) == ("hf", COMMIT, 15_231_271_864, "BF16")
    assert row.model.key == "deepseek-r1:7b"


def test_a_gguf_file_is_pinned_to_its_own_digest(server: RegistryServer) -> None:
    server.serve_repository(
        SEVEN, listing(COMMIT, **{"DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf": (4_683_073_536, FILE)})
    )
    add("deepseek-r1:7b", "--source", "gguf")
    row = Artifact.objects.get()
    assert row.ref == f"{SEVEN}/DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"
    assert (row.digest, row.bytes, row.quantisation) == (FILE, 4_683_073_536, "Q4_K_M")


def test_a_file_in_parts_is_pinned_to_the_commit_and_counts_all_parts(server: RegistryServer) -> None:
    parts = {f"Q4_K_M/DeepSeek-R1-0528-Q4_K_M-0000{n}-of-00002.gguf": (100 + n, FILE) for n in (1, 2)}
    server.serve_repository("unsloth/DeepSeek-R1-0528-GGUF", listing(COMMIT, **parts))
    add("unsloth/DeepSeek-R1-0528-GGUF/Q4_K_M/DeepSeek-R1-0528-Q4_K_M-00001-of-00002.gguf")
    row = Artifact.objects.get()
    assert (row.digest, row.bytes, row.model.key) == (COMMIT, 203, "deepseek-r1:671b")


def test_a_repository_of_many_files_is_asked_which(server: RegistryServer) -> None:
    server.serve_repository("x/y-GGUF", listing(COMMIT, **{"y-Q8_0.gguf": (2, FILE), "y-Q4_K_M.gguf": (1, FILE)}))
    with pytest.raises(CommandError, match=r"Say which file of x/y-GGUF, for example: y-Q8_0\.gguf, y-Q4_K_M\.gguf\."):
        add("x/y-GGUF", "--source", "gguf")


def test_what_an_engine_serves_is_taken_without_asking_anybody(server: RegistryServer) -> None:
    add("deepseek-flash", "--source", "api")
    row = Artifact.objects.get()
    assert (row.source, row.digest, row.bytes) == ("api", "", None)
    assert server.asked == []


def test_adding_again_changes_nothing(server: RegistryServer) -> None:
    server.serve_model("library/deepseek-r1", "7b", manifest())
    add("deepseek-r1:7b")
    said, _warned = add("7b")
    assert "known already" in said and Artifact.objects.count() == 1


def test_a_model_that_an_engine_brought_gets_the_artifact(server: RegistryServer) -> None:
    brought = CatalogueModel.objects.create(key="DeepSeek-R1-Distill-Qwen-7B", name="Our 7B")
    server.serve_model("library/deepseek-r1", "7b", manifest())
    add("deepseek-r1:7b")
    assert Artifact.objects.get().model == brought


def test_a_changed_tag_is_told_and_not_followed(server: RegistryServer) -> None:
    old = server.serve_model("library/deepseek-r1", "8b", manifest("Llama"))
    add("deepseek-r1:8b")
    assert add("--check-upstream")[0] == f"deepseek-r1:8b still means {old[:12]}.\n"
    new = server.serve_model("library/deepseek-r1", "8b", manifest("Qwen3"))
    said, warned = add("--check-upstream")
    assert said == "" and f"means {new[:12]} upstream now; here it stays at {old[:12]}" in warned
    row = Artifact.objects.get()
    assert (row.digest, row.upstream_digest) == (old, new) and row.upstream_at is not None
    assert "here it stays" in add("8b")[1]


def test_one_silent_source_does_not_keep_the_others_from_being_asked(server: RegistryServer) -> None:
    server.serve_model("library/deepseek-r1", "7b", manifest())
    server.serve_repository("a/b", listing(COMMIT))
    add("deepseek-r1:7b")
    add("a/b")
    server.answers["/v2/library/deepseek-r1/manifests/7b"] = Answer(503)
    server.serve_repository("a/b", listing(NEW_COMMIT))
    warned = add("--check-upstream")[1]
    assert "The registry is busy" in warned and "a/b means bbbbbbbbbbbb" in warned


HOSTILE = [
    "../../etc/passwd",
    "../../etc",
    "-x",
    "--all",
    "deepseek-r1:7b\nrm",
    "deepseek-r1:\x00",
    "deepseek-r1:7b; rm -rf",
    "de epseek:7b",
    "evil.example/library/deepseek-r1:7b",
    "evil.example:5000/deepseek-r1:7b",
    "http://evil.example/deepseek-r1:7b",
    "localhost/deepseek-r1:7b",
    "a/../../b:c",
    "a/b/../../etc",
    "a/b\u202e/c",
    "",
    "   ",
    "x" * 10_000,
    "deepseek-r1:" + "7" * 300,
    "модель:7b",
]


# An engine may serve a model under a name that looks like a path.
CASES = [
    (name, source)
    for name in HOSTILE
    for source in ("", "ollama", "hf", "gguf", "api")
    if not (source == "api" and name.startswith(("evil.example", "localhost")))
]


@pytest.mark.parametrize(("name", "source"), CASES, ids=range(len(CASES)))
def test_a_hostile_name_is_refused_in_words_and_asked_nowhere(server: RegistryServer, name: str, source: str) -> None:
    options = {"source": source, "file": None, "check_upstream": False}
    with pytest.raises(CommandError) as refusal:
        call_command("add_model", name, **options) if not name.startswith("-") else _add_dashed(name, source)
    told = str(refusal.value)
    assert told.endswith(".") and len(told) < 250 and told.isprintable()
    assert server.asked == [] and not CatalogueModel.objects.exists()


def _add_dashed(name: str, source: str) -> None:
    """A shell hands it over behind a double dash."""
    call_command("add_model", *(["--source", source] if source else []), "--", name)


def test_other_registries_are_named_in_the_refusal(server: RegistryServer) -> None:
    with pytest.raises(CommandError, match="names a registry of its own"):
        add("evil.example/library/deepseek-r1:7b")


def test_a_name_without_a_tag_is_told_both_meanings() -> None:
    with pytest.raises(CommandError, match=r"two architectures.*deepseek-r1:7b \(qwen2\), deepseek-r1:8b \(qwen3\)"):
        add("deepseek-r1")


def test_a_file_of_the_old_kind_is_refused_in_one_sentence() -> None:
    with pytest.raises(CommandError, match="old GGML kind"):
        add("TheBloke/Llama-2-7B-GGML/llama-2-7b.ggmlv3.q4_0.bin", "--source", "gguf")


def test_what_ollama_does_not_have_is_told() -> None:
    with pytest.raises(CommandError, match="R1-Zero 671B is not in Ollama's library"):
        add("deepseek-r1-zero:671b", "--source", "ollama")


@pytest.mark.parametrize(
    ("status", "told"), [(404, "knows no"), (401, "HF_TOKEN"), (500, "busy"), (418, "can't be used")]
)
def test_refusals_of_the_registry_are_told(server: RegistryServer, status: int, told: str) -> None:
    server.answers["/v2/library/deepseek-r1/manifests/7b"] = Answer(status)
    with pytest.raises(CommandError, match=told):
        add("deepseek-r1:7b")
    assert not Artifact.objects.exists()


def test_a_registry_that_is_not_there_is_told(settings: Any) -> None:
    settings.OLLAMA_REGISTRY = "http://127.0.0.1:9"
    with pytest.raises(CommandError, match="does not answer"):
        add("deepseek-r1:7b")


def test_nothing_asked_is_told() -> None:
    with pytest.raises(CommandError, match="Name a model"):
        add()


def test_refusals_speak_chinese() -> None:
    with translation.override("zh-hans"), pytest.raises(CommandError, match="两种架构"):
        call_command("add_model", "deepseek-r1")


def test_the_digest_is_the_one_that_ollama_shows(server: RegistryServer) -> None:
    body = manifest()
    server.serve_model("library/deepseek-r1", "7b", body)
    add("deepseek-r1:7b")
    assert Artifact.objects.get().digest == hashlib.sha256(body).hexdigest()


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_the_same_name_added_by_many_at_once_is_one_row(server: RegistryServer) -> None:
    server.serve_model("library/deepseek-r1", "7b", manifest())
    found = race(lambda _number: artifacts.add("deepseek-r1:7b"), threads=6)
    assert {added.artifact.pk for added in found} == {Artifact.objects.get().pk}
    assert sum(added.is_new for added in found) == 1 == CatalogueModel.objects.count()


def test_a_model_deleted_while_its_source_is_asked_is_no_error(server: RegistryServer) -> None:
    server.serve_model("library/deepseek-r1", "7b", manifest())
    add("deepseek-r1:7b")
    rows = list(Artifact.objects.all())
    CatalogueModel.objects.all().delete()
    assert [checked.problem for checked in artifacts.check_upstream(rows)] == [""]


def test_many_names_are_asked_a_few_at_a_time(server: RegistryServer) -> None:
    model = CatalogueModel.objects.create(key="many", name="Many")
    refs = [f"me/model:{number}b" for number in range(30)]
    Artifact.objects.bulk_create(Artifact(model=model, source="ollama", ref=ref, digest="d" * 64) for ref in refs)
    server.pause = 0.02
    assert len(artifacts.check_upstream()) == 30
    assert 1 < server.most_at_once <= artifacts.AT_ONCE


def test_a_home_of_nobody_holds_no_file() -> None:
    with pytest.raises(CommandError, match="There is no file ~nobody-of-that-name"):
        add("--file", "~nobody-of-that-name/m.gguf")


def test_a_file_of_this_machine_is_pinned_to_its_own_digest(server: RegistryServer, tmp_path: Path) -> None:
    file = tmp_path / "DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf"
    file.write_bytes(gguf_files.model())
    said, _warned = add("--file", str(file))
    row = Artifact.objects.get()
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (row.source, row.ref, row.digest, row.quantisation) == ("gguf", str(file), digest, "Q4_K_M")
    assert (row.bytes, row.model.key) == (file.stat().st_size, "deepseek-r1:7b")
    assert digest[:12] in said
    add("--check-upstream")
    assert server.asked == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"tjgg" + b"\0" * 64, "GGML file, the format before GGUF"),
        (b"PK\x03\x04" + b"\0" * 64, "no GGUF file"),
        (b"", "no GGUF file|shorter"),
        (gguf_files.model()[:-100], "shorter than its header says"),
    ],
)
def test_a_file_that_no_engine_reads_is_refused_in_words(tmp_path: Path, content: bytes, told: str) -> None:
    file = tmp_path / "old.gguf"
    file.write_bytes(content)
    with pytest.raises(CommandError, match=told):
        add("--file", str(file))
    assert not Artifact.objects.exists()


def test_a_file_of_no_known_model_is_asked_for_by_its_own_name(tmp_path: Path) -> None:
    """A path may be longer than the key of a model."""
    folder = tmp_path / ("deep" * 20) / ("deeper" * 14)
    folder.mkdir(parents=True)
    (folder / "my-model-Q8_0.gguf").write_bytes(gguf_files.model())
    add("--file", str(folder / "my-model-Q8_0.gguf"))
    row = Artifact.objects.get()
    assert len(row.ref) > 200
    assert (row.model.key, row.model.name, row.quantisation) == ("my-model-Q8_0", "my-model-Q8_0", "Q8_0")


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="There is no file"):
        add("--file", str(tmp_path / "nothing.gguf"))
    with pytest.raises(CommandError, match="There is no file"):
        add("--file", str(tmp_path))
