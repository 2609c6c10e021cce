"""`bin/manage fit`: what people read, and how near it is to two models that are really loaded."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils.translation import override

from models_admin.fit.memory_fit import GIB, MIB, ForeignProcess, Gpu
from models_admin.models import Deployment
from models_admin.pages import memory_words
from tests import recorded_rules, running_engines
from tests.models_admin import gguf_files
from tests.models_admin.file_server import FileServer, serving
from tests.recorded_engine import playing
from tests.running_engines import KEY, MODEL, smollm2

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving() as running:
        yield running


def fit(*words: object) -> str:
    out = StringIO()
    call_command("fit", *map(str, words), stdout=out)
    return out.getvalue()


def figures(*words: object) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fit(*words, "--json"))
    return found


def test_the_sum_is_told_part_by_part() -> None:
    assert fit("deepseek-r1:7b", "--gpus", "24,24", "--context", 32768, "--slots", 4, "--engine", "llama.cpp") == (
        "R1 7B, Q4_K_M · llama.cpp\n\n"
        "  weights          4.36 GiB\n"
        "  KV cache         7.00 GiB   57,344 bytes a token × 32,768 tokens × 4, f16\n"
        "  overhead         2.00 GiB   1.00 GiB on each of 2 GPUs\n"
        "  together        13.36 GiB\n"
        "  GPU 0, 24 GB: 6.68 GiB of 24.00 GiB free: 14 layers, weights 2.18 GiB, cache 3.50 GiB\n"
        "  GPU 1, 24 GB: 6.68 GiB of 24.00 GiB free: 14 layers, weights 2.18 GiB, cache 3.50 GiB\n"
        "\nIt fits.\n"
        "Tensor-parallel sizes for vLLM and SGLang: 1, 2, 4.\n"
    )


def test_what_does_not_fit_comes_with_what_would() -> None:
    told = fit("70b", "--gpus", "2x24", "--engine", "vllm", "--context", 8192)
    assert "It does not fit.\n" in told
    assert "Next that would fit: R1 14B, BF16.\n" in told


def test_a_shorter_context_is_offered() -> None:
    told = fit("14b", "--gpus", "12", "--context", 32768)
    assert "It fits with a context of at most 14,336 tokens a slot" in told
    assert "× 14,336 tokens × 1" in told


def test_layers_on_the_processor_are_told() -> None:
    assert "Partly on the processor, which is slow: 31 of 64 layers on GPUs" in fit("32b", "--gpus", "12")


@pytest.mark.parametrize(
    ("name", "engine", "size"),
    [
        ("deepseek-r1:32b", "ollama", 19_851_337_809),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", "vllm", 65_527_752_704),
        ("DeepSeek-R1-Distill-Qwen-7B-Q4_K_M.gguf", "llama.cpp", 4_683_075_271),
        ("deepseek-r1:7b-qwen-distill-q8_0", "ollama", round(7_615_616_512 * 34 / 32)),
        ("deepseek-r1:7b-qwen-distill-fp16", "ollama", 2 * 7_615_616_512),
        ("deepseek-ai/DeepSeek-R1-Zero", "vllm", 684_530_000_000),
    ],
)
def test_a_name_means_its_own_files_and_what_loads_them(name: str, engine: str, size: int) -> None:
    found = figures(name, "--gpus", "8x141")
    assert (found["engine"], found["weights_bytes"]) == (engine, size)


def test_a_repository_whose_size_is_not_known_is_not_taken_for_another() -> None:
    with pytest.raises(CommandError, match="known are: Q4_K_M, BF16"):
        fit("RedHatAI/DeepSeek-R1-Distill-Qwen-7B-quantized.w4a16", "--gpus", "24")


def test_the_parts_add_up_where_the_context_is_shortened() -> None:
    told = fit("671b", "--gpus", "8x91", "--engine", "vllm", "--context", 163840)
    sizes = [float(line.split(" GiB")[0].split()[-1]) for line in told.splitlines()[2:7]]
    assert sum(sizes[:4]) == pytest.approx(sizes[4], abs=0.03)


def test_too_little_memory_is_told_with_both_figures_and_what_it_holds() -> None:
    told = fit("32b", "--gpus", "none", "--ram", 8)
    assert "It does not fit: beside GPUs it needs 22.73 GiB of memory, and 8.00 GiB are free." in told
    assert "Next that would fit: R1 8B (0528), Q4_K_M." in told
    assert "without a GPU vllm does not run" in fit("7b", "--gpus", "none", "--engine", "vllm")


def test_r1_keeps_its_row_on_every_gpu_or_every_head() -> None:
    compressed = fit("671b", "--gpus", "8x141", "--engine", "vllm")
    assert "70,272 bytes a token" in compressed
    assert "its rows can't be parted: kept by all 8" in compressed
    assert "4,997,120 bytes a token" in fit("671b", "--gpus", "8x80", "--engine", "ollama")


def test_it_speaks_chinese() -> None:
    with override("zh-hans"):
        told = fit("70b", "--gpus", "24", "--context", 8192)
    assert "层" in told and "It " not in told and "weights" not in told


def test_a_file_is_asked_for_its_own_shape() -> None:
    found = figures(smollm2(), "--gpus", "8", "--context", 2048, "--slots", 4)
    assert found["weights_bytes"] == 96_576_768
    assert found["kv_bytes"] == 30 * 3 * 2 * 64 * 2 * 2048 * 4
    assert found["verdict"] == "fits"


def test_a_model_in_several_files_is_added_up(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"m-0000{number}-of-00002.gguf").write_bytes(gguf_files.model())
    single = tmp_path / "single" / "m.gguf"
    single.parent.mkdir()
    single.write_bytes(gguf_files.model())
    two = figures(tmp_path, "--gpus", "8", "--context", 1024)["weights_bytes"]
    assert two == 2 * figures(single, "--gpus", "8", "--context", 1024)["weights_bytes"]


def test_a_folder_in_safetensors_format_is_read(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    (tmp_path / "model.safetensors").write_bytes((10).to_bytes(8, "little") + bytes(10) + bytes(5000))
    found = figures(tmp_path, "--gpus", "8", "--engine", "vllm", "--context", 1024)
    assert (found["weights_bytes"], found["tensor_parallel"]) == (5000, 1)


def test_an_address_is_asked_for_the_header_alone(server: FileServer) -> None:
    server.files["/smol.gguf"] = smollm2().read_bytes()
    found = figures(f"{server.address}/smol.gguf", "--gpus", "8", "--context", 2048)
    assert found["weights_bytes"] == 96_576_768
    assert server.sent_bytes < 3 * MIB


def test_a_repository_at_an_address_is_read(server: FileServer) -> None:
    server.files["/org/model/config.json"] = json.dumps(CONFIG).encode()
    index = {"metadata": {"total_size": 123_456_789}, "weight_map": {}}
    server.files["/org/model/model.safetensors.index.json"] = json.dumps(index).encode()
    found = figures(f"{server.address}/org/model/", "--gpus", "8", "--engine", "sglang", "--context", 1024)
    assert (found["model"], found["weights_bytes"]) == ("model", 123_456_789)


CONFIG = {
    "num_hidden_layers": 2, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 100,
    "max_position_embeddings": 4096,
}  # fmt: skip


def test_everything_is_told_to_programs() -> None:
    found = figures("deepseek-r1:7b", "--gpus", "8", "--context", 8192)
    assert found["total_bytes"] == 4_683_075_271 + 57_344 * 8192 + GIB
    assert found["tensor_parallel_sizes"] == [1, 2, 4]
    assert found["gpus"][0]["layers"] == 28


def test_an_old_ggml_file_is_refused_with_that_sentence(tmp_path: Path) -> None:
    path = tmp_path / "alpaca.bin"
    path.write_bytes(b"tjgg" + bytes(100))
    with pytest.raises(CommandError, match="a GGML file, the format before GGUF, which no engine of today loads"):
        fit(path)


def test_a_download_that_broke_off_is_told(tmp_path: Path) -> None:
    path = tmp_path / "half.gguf"
    path.write_bytes(smollm2().read_bytes()[:5_000_000])
    with pytest.raises(CommandError, match="98,362,432 bytes"):
        fit(path)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "Name a model"),
        (["deepseek-r1"], "two architectures"),
        (["~nobody-of-that-name/model.gguf"], "home directory"),
        (["no-such-model"], "“no-such-model” is no model of the catalogue, no file and no address"),
        (["7b", "--gpus", "big"], "“big” are no GPUs"),
        (["7b", "--gpus", "24,-1"], "are no GPUs"),
        (["7b", "--gpus", "1e999"], "are no GPUs"),
        (["7b", "--gpus", "9999x24"], "are no GPUs"),
        (["7b", "--gpus", "none", "--ram", "nan"], "number of GiB"),
        (["7b", "--gpus", "none", "--ram", "-1"], "number of GiB"),
        (["7b", "--gpus", "24", "--context", "0"], "1 or more"),
        (["7b", "--gpus", "24", "--slots", "0"], "1 or more"),
        (["7b", "--gpus", "24", "--context", "200000"], "131,072 tokens"),
        (["7b", "--gpus", "24", "--engine", "vllm", "--kv", "q8_0"], "it has f16, bf16, fp8"),
        (["7b", "--gpus", "24", "--quantisation", "Q3"], "known are: Q4_K_M, BF16"),
        (["https://169.254.169.254/m.gguf"], "169.254.169.254"),
    ],
)
def test_wishes_that_make_no_sense_get_one_sentence(words: list[str], sentence: str) -> None:
    with pytest.raises(CommandError, match=sentence):
        fit(*words)


def test_who_else_holds_memory_is_named() -> None:
    card = Gpu("A5000", 24 * GIB, 10 * GIB, (ForeignProcess(4711, "blender", 13 * GIB),))
    assert memory_words.foreign([card]) == ["GPU 0: blender (process 4711) holds 13.00 GiB."]


@pytest.mark.django_db
@pytest.mark.parametrize(("model", "slots", "context"), [(MODEL, 8, 2048), (smollm2(), 4, 2048)], ids=["tiny", "smol"])
def test_a_real_load_is_close_to_its_sum(tmp_path: Path, model: Path, slots: int, context: int) -> None:
    """Measured is what the whole process of llama.cpp takes (PSS), by the system: it tells no figure of its own.

    The floor is for the tiny model, of whose 40 MiB Python and its library are the most, shared with who else runs.
    """
    key = tmp_path / "key"
    key.write_text(KEY)
    with running_engines.llama_cpp(tmp_path, slots=slots, context=context, model=model) as engine:
        url = engine.endpoint.base_url
        call_command("attach_engine", url, "--kind", "llama.cpp", "--model", engine.model, "--key-file", str(key))
        told = fit(model, "--gpus", "none", "--engine", "llama.cpp", "--loaded", url)
    row = Deployment.objects.get()
    assert row.expected_bytes and row.measured_bytes
    assert row.expected_bytes == pytest.approx(row.measured_bytes, rel=0.1, abs=16 * MIB)
    assert f"Measured {memory_words.size(row.measured_bytes)}, expected" in told


@pytest.mark.django_db
def test_what_only_listens_for_an_engine_is_not_measured_in_its_place() -> None:
    """As a tunnel does, or a container's proxy: here it is the test's own process, which holds no 70B."""
    with playing(recorded_rules.vllm()) as url:
        call_command("attach_engine", url, "--kind", "vllm", "--model", "r1-tiny", stdout=StringIO())
        with pytest.raises(CommandError, match="is no process here"):
            fit("70b", "--gpus", "8x80", "--loaded", url)
    assert Deployment.objects.get().measured_bytes is None


@pytest.mark.django_db
def test_an_engine_that_is_not_attached_is_not_measured() -> None:
    with pytest.raises(CommandError, match="No engine with one model is attached"):
        fit("7b", "--loaded", "http://127.0.0.1:9")


def test_the_page_of_models_is_what_the_command_prints() -> None:
    page = (ROOT / "docs/models.md").read_text()
    assert page == fit("--table"), "run: bin/manage fit --table > docs/models.md"
