"""The sum against published figures, and its verdicts on cards that people have."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models_admin.fit import gpus
from models_admin.fit.memory_fit import (
    GIB,
    Candidate,
    CannotReckon,
    Fit,
    ForeignProcess,
    Gpu,
    Verdict,
    fit,
    next_that_fits,
)
from models_admin.fit.memory_split import kv_per_rank, tensor_parallel_sizes
from models_admin.fit.model_shape import Mla, Shape
from models_admin.fit.shape_reading import NoShape, Weights, from_config, from_index

QWEN_1_5B = Shape(28, 12, 2, 128, 128, 1536, 151936, 131072, feed_forward=8960)
QWEN_7B = Shape(28, 28, 4, 128, 128, 3584, 152064, 131072, feed_forward=18944)
LLAMA_8B = Shape(32, 32, 8, 128, 128, 4096, 128256, 131072, feed_forward=14336)
QWEN_14B = Shape(48, 40, 8, 128, 128, 5120, 152064, 131072, feed_forward=13824)
LLAMA_70B = Shape(80, 64, 8, 128, 128, 8192, 128256, 131072, feed_forward=28672)
R1 = Shape(61, 128, 128, 192, 128, 7168, 129280, 163840, Mla(512, 64), feed_forward=18432)
Q4_7B = Weights(4_683_075_271)
Q4_70B = Weights(43_000_000_000)
FP8_R1 = Weights(684_530_000_000)
CARD_24 = Gpu.sized(24)


def cards(*sizes: float) -> list[Gpu]:
    return [Gpu.sized(size) for size in sizes]


def kv_bytes(shape: Shape, context: int, kv_type: str = "f16") -> int:
    found = fit(Weights(1), shape, [], context=context, kv_type=kv_type)
    return found.kv


@pytest.mark.parametrize(
    ("shape", "context", "expected"),
    [
        (LLAMA_70B, 8192, 2_684_354_560),
        (LLAMA_8B, 8192, 1_073_741_824),
        (QWEN_7B, 131072, 7 * GIB),
        (QWEN_1_5B, 4096, 28 * 1024 * 4096),
        (R1, 163840, 70_272 * 163840),
        (R1.expanded(), 163840, 4_997_120 * 163840),  # 762.5 GiB
    ],
)
def test_the_cache_has_its_published_size(shape: Shape, context: int, expected: int) -> None:
    assert kv_bytes(shape, context) == expected


@pytest.mark.parametrize(
    ("kv_type", "per_token"), [("f16", 57_344), ("q8_0", 30_464), ("q4_0", 16_128), ("bf16", 57_344)]
)
def test_the_cache_shrinks_with_its_type(kv_type: str, per_token: int) -> None:
    assert kv_bytes(QWEN_7B, 8192, kv_type) == per_token * 8192


def test_an_8_bit_cache_of_vllm_has_half_the_size() -> None:
    half, whole = (
        fit(Q4_7B, QWEN_7B, cards(24), context=8192, engine="vllm", kv_type=kv_type) for kv_type in ("fp8", "f16")
    )
    assert whole.kv == 2 * half.kv


@pytest.mark.parametrize(
    ("weights", "shape", "size", "context"),
    [
        (Weights(1_117_322_768), QWEN_1_5B, 4, 8192),
        (Q4_7B, QWEN_7B, 8, 8192),
        (Q4_7B, QWEN_7B, 6, 4096),
        (Weights(8_988_112_040), QWEN_14B, 12, 8192),
        (Q4_70B, LLAMA_70B, 48, 8192),
    ],
)
def test_the_smallest_usual_card_is_enough(weights: Weights, shape: Shape, size: float, context: int) -> None:
    found = fit(weights, shape, cards(size), context=context, engine="ollama")
    assert found.verdict is Verdict.FITS
    assert found.shares[0].needed <= size * GIB


def test_the_7b_in_4_bit_comes_to_its_published_total() -> None:
    found = fit(Q4_7B, QWEN_7B, cards(24), context=32768)
    assert found.total == 4_683_075_271 + 1_879_048_192 + GIB  # 7.1 GiB


def test_a_context_too_long_is_shortened_to_what_fits() -> None:
    found = fit(Q4_7B, QWEN_7B, cards(8), context=131072)
    assert found.verdict is Verdict.SHORTER
    assert fit(Q4_7B, QWEN_7B, cards(8), context=found.longest_context).verdict is Verdict.FITS
    assert fit(Q4_7B, QWEN_7B, cards(8), context=found.longest_context + 256).verdict is Verdict.SHORTER
    assert found.shares[0].needed <= 8 * GIB


def test_layers_that_do_not_fit_stay_on_the_processor() -> None:
    found = fit(Q4_70B, LLAMA_70B, cards(24), context=8192, ram=64 * GIB)
    assert found.verdict is Verdict.PARTLY
    assert 0 < found.layers_on_gpu < 80
    assert found.shares[0].needed <= 24 * GIB
    assert fit(Q4_70B, LLAMA_70B, cards(24), context=8192, ram=16 * GIB).verdict is Verdict.NOT


def test_no_part_is_lost_between_gpus_and_processor() -> None:
    found = fit(replace(Q4_70B, embedding_bytes=590_000_000), LLAMA_70B, cards(24, 12), context=8192)
    overhead = sum(share.overhead for share in found.shares) + found.cpu_overhead
    assert found.total - overhead == pytest.approx(Q4_70B.total + found.kv, abs=10)


def test_llama_cpp_spreads_over_all_cards_and_ollama_over_as_few_as_suffice() -> None:
    spread = fit(Q4_7B, QWEN_7B, cards(24, 24), context=8192, engine="llama.cpp")
    single = fit(Q4_7B, QWEN_7B, cards(24, 24), context=8192, engine="ollama")
    assert [share.layers for share in spread.shares] == [14, 14]
    assert [share.layers for share in single.shares] == [28]


def test_a_smaller_card_gets_fewer_layers() -> None:
    found = fit(Q4_70B, LLAMA_70B, cards(48, 12), context=8192)
    assert found.verdict is Verdict.FITS
    assert found.shares[0].layers > 3 * found.shares[1].layers


def test_the_token_embedding_stays_in_memory() -> None:
    found = fit(Weights(1000, 100), QWEN_1_5B, cards(8), context=256)
    assert (found.shares[0].weights, found.on_cpu) == (900, 100)


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [(QWEN_1_5B, (1, 2, 4)), (QWEN_7B, (1, 2, 4)), (QWEN_14B, (1, 2, 4, 8)), (LLAMA_70B, (1, 2, 4, 8, 16)),
     (R1, (1, 2, 4, 8, 16))],
)  # fmt: skip
def test_tensor_parallel_sizes_are_those_at_which_engines_start(shape: Shape, sizes: tuple[int, ...]) -> None:
    assert tensor_parallel_sizes(shape) == sizes


def test_kv_heads_neither_divide_nor_repeat_among_three() -> None:
    shape = Shape(1, 24, 8, 64, 64, 1536, 100, 4096, feed_forward=3 * 4096)
    assert tensor_parallel_sizes(shape) == (1, 2, 4, 8)
    assert tensor_parallel_sizes(replace(shape, kv_heads=3)) == (1, 3, 6, 12)


def test_vllm_takes_its_share_of_the_smallest_card() -> None:
    weights = Weights(15_231_233_024)
    assert fit(weights, QWEN_7B, cards(16), context=8192, engine="vllm").verdict is Verdict.NOT
    found = fit(weights, QWEN_7B, cards(24, 16), context=8192, engine="vllm")
    assert (found.verdict, found.tensor_parallel) == (Verdict.FITS, 1)
    assert found.shares[0].budget == int(24 * GIB * 0.92)
    parted = fit(weights, QWEN_7B, cards(16, 12), context=8192, engine="vllm")
    assert (parted.verdict, parted.tensor_parallel) == (Verdict.FITS, 2)
    assert min(share.budget for share in parted.shares) == int(12 * GIB * 0.92)


def test_kv_heads_are_repeated_where_there_are_fewer_than_cards() -> None:
    assert kv_per_rank(1000, QWEN_1_5B, 2) == 500
    assert kv_per_rank(1000, QWEN_1_5B, 4) == 500
    found = fit(Weights(3_554_176_000), QWEN_1_5B, cards(2, 2, 2, 2), context=8192, engine="vllm")
    assert found.tensor_parallel == 4
    assert found.kv_copies == 2


def test_every_rank_keeps_the_whole_compressed_row() -> None:
    found = fit(FP8_R1, R1, [Gpu.sized(141)] * 8, context=163840, engine="sglang")
    assert (found.verdict, found.tensor_parallel, found.kv_copies) == (Verdict.FITS, 8, 8)
    assert {share.kv for share in found.shares} == {70_272 * 163840}


def test_r1_in_fp8_does_not_fit_into_eight_cards_of_80() -> None:
    assert fit(FP8_R1, R1, [Gpu.sized(80)] * 8, context=8192, engine="vllm").verdict is Verdict.NOT


def test_the_expanded_cache_decides_over_r1_in_4_bit() -> None:
    weights = Weights(404_000_000_000)
    compressed, expanded = (
        fit(weights, shape, [Gpu.sized(80)] * 6, context=32768, engine="llama.cpp") for shape in (R1, R1.expanded())
    )
    assert (compressed.verdict, expanded.verdict) == (Verdict.FITS, Verdict.SHORTER)
    assert expanded.wish.kv(32768) == pytest.approx(152.5 * GIB)
    assert expanded.kv == expanded.wish.kv(expanded.longest_context)


def test_the_parts_of_a_shortened_context_add_up() -> None:
    found = fit(FP8_R1, R1, [Gpu.sized(91)] * 8, context=163840, engine="vllm")
    assert (found.verdict, found.kv_copies) == (Verdict.SHORTER, 8)
    overhead = sum(share.overhead for share in found.shares)
    assert found.total == pytest.approx(FP8_R1.total + found.kv * found.kv_copies + overhead, abs=8)


def test_without_gpus_the_next_is_what_memory_holds() -> None:
    choices = [Candidate("70B", Q4_70B, LLAMA_70B), Candidate("7B", Q4_7B, QWEN_7B)]
    found = next_that_fits(choices, [], context=8192, ram=8 * GIB)
    assert found and found.name == "7B"
    assert next_that_fits(choices, [], context=8192, ram=2 * GIB) is None
    assert next_that_fits(choices, [], context=8192, engine="vllm", ram=8 * GIB) is None


def test_memory_of_others_is_subtracted() -> None:
    taken = Gpu("RTX 4090", 24 * GIB, 5 * GIB, (ForeignProcess(4711, "game", 19 * GIB),))
    assert fit(Q4_7B, QWEN_7B, [CARD_24], context=4096).verdict is Verdict.FITS
    assert fit(Q4_7B, QWEN_7B, [taken], context=4096).verdict is Verdict.PARTLY
    found = fit(Weights(15_231_233_024), QWEN_7B, [taken, CARD_24], context=4096, engine="vllm")
    assert found.shares[0].gpu is CARD_24


def test_without_a_gpu_only_some_engines_run() -> None:
    assert fit(Q4_7B, QWEN_7B, [], context=4096, ram=16 * GIB).verdict is Verdict.PARTLY
    assert fit(Q4_7B, QWEN_7B, [], context=4096, ram=4 * GIB).verdict is Verdict.NOT
    assert fit(Q4_7B, QWEN_7B, [], context=4096, engine="vllm", ram=64 * GIB).verdict is Verdict.NOT


def test_the_next_that_fits_is_the_first_one_that_does() -> None:
    choices = [
        Candidate("70B", Q4_70B, LLAMA_70B),
        Candidate("14B", Weights(8_988_112_040), QWEN_14B),
        Candidate("7B", Q4_7B, QWEN_7B),
    ]
    found = next_that_fits(choices, cards(16), context=8192)
    assert found and found.name == "14B"
    assert next_that_fits(choices, cards(2), context=8192) is None


@pytest.mark.parametrize(
    "changed",
    [{"engine": "tgi"}, {"engine": "vllm", "kv_type": "q8_0"}, {"kv_type": "fp8"}, {"context": 0}, {"slots": 0},
     {"context": 131073}],
)  # fmt: skip
def test_wishes_that_make_no_sense_are_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(CannotReckon):
        fit(Q4_7B, QWEN_7B, [], **{"context": 4096, **changed})


@given(
    sizes=st.lists(st.floats(1, 200), max_size=8),
    total=st.integers(1, 10**12),
    context=st.integers(1, 131072),
    slots=st.integers(1, 64),
    engine=st.sampled_from(["llama.cpp", "ollama", "vllm", "sglang"]),
    shape=st.sampled_from([QWEN_1_5B, QWEN_7B, LLAMA_70B, R1]),
)
def test_no_gpu_is_ever_promised_more_than_it_has(
    sizes: list[float], total: int, context: int, slots: int, engine: str, shape: Shape
) -> None:
    found = fit(Weights(total), shape, cards(*sizes), context=context, slots=slots, engine=engine)
    if found.verdict is not Verdict.NOT:
        assert all(share.needed <= share.budget <= share.gpu.free for share in found.shares)
    assert sum(share.layers for share in found.shares) in (0, found.layers_on_gpu)
    assert 0 <= found.longest_context <= context
    assert found.total >= 0


@given(context=st.integers(256, 131072), size=st.floats(1, 100))
def test_more_memory_never_makes_it_worse(context: int, size: float) -> None:
    def rank(found: Fit) -> tuple[int, int]:
        return list(Verdict).index(found.verdict), -found.longest_context

    small = fit(Q4_7B, QWEN_7B, cards(size), context=context)
    assert rank(fit(Q4_7B, QWEN_7B, cards(size + 1), context=context)) <= rank(small)


def test_config_and_index_tell_shape_and_bytes() -> None:
    config = {
        "num_hidden_layers": 28, "hidden_size": 1536, "num_attention_heads": 12, "num_key_value_heads": 2,
        "vocab_size": 151936, "max_position_embeddings": 131072, "intermediate_size": 8960, "head_dim": None,
    }  # fmt: skip
    assert from_config(config) == QWEN_1_5B
    assert from_config({"model_type": "vlm", "text_config": config}) == QWEN_1_5B
    assert from_index({"metadata": {"total_size": 3_554_176_000.0}}, config) == Weights(3_554_176_000)


def test_config_of_r1_tells_its_compressed_row() -> None:
    config = {
        "num_hidden_layers": 61, "hidden_size": 7168, "num_attention_heads": 128, "num_key_value_heads": 128,
        "vocab_size": 129280, "max_position_embeddings": 163840, "intermediate_size": 18432, "kv_lora_rank": 512,
        "qk_rope_head_dim": 64, "qk_nope_head_dim": 128, "v_head_dim": 128,
    }  # fmt: skip
    assert from_config(config) == R1


def test_an_output_layer_that_is_stored_although_tied_is_not_counted() -> None:
    config = {
        "num_hidden_layers": 1, "hidden_size": 64, "num_attention_heads": 4, "vocab_size": 100,
        "max_position_embeddings": 512, "tie_word_embeddings": True, "torch_dtype": "bfloat16",
    }  # fmt: skip
    index = {"metadata": {"total_size": 100_000}, "weight_map": {"lm_head.weight": "a.safetensors"}}
    assert from_index(index, config).total == 100_000 - 100 * 64 * 2
    assert from_index({**index, "weight_map": {}}, config).total == 100_000


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"num_hidden_layers": "28"},
        {"num_hidden_layers": -1},
        {"num_hidden_layers": 1 << 50},
        {"num_hidden_layers": 1, "num_attention_heads": 65},
    ],
)
def test_a_config_without_sensible_dimensions_is_told(config: dict[str, Any]) -> None:
    sound = {"hidden_size": 64, "num_attention_heads": 4, "vocab_size": 9, "max_position_embeddings": 9}
    with pytest.raises(NoShape):
        from_config({**sound, **config})
    with pytest.raises(NoShape):
        from_index({"metadata": {"total_size": 0}}, {})


class ADriver(SimpleNamespace):
    """NVIDIA's library as pynvml shows it, with one card and three processes."""

    class NVMLError(Exception): ...

    def nvmlInit(self) -> None: ...

    def nvmlShutdown(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetName(self, device: int) -> bytes:
        return b"NVIDIA RTX A5000"

    def nvmlDeviceGetMemoryInfo(self, device: int) -> SimpleNamespace:
        return SimpleNamespace(total=24 * GIB, free=10 * GIB)

    def nvmlDeviceGetComputeRunningProcesses(self, device: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=1, usedGpuMemory=6 * GIB), SimpleNamespace(pid=4194303, usedGpuMemory=7 * GIB)]

    def nvmlDeviceGetGraphicsRunningProcesses(self, device: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=4194302, usedGpuMemory=None)]


def test_gpus_are_read_with_what_others_hold() -> None:
    (card,) = gpus.read(nvml=ADriver())
    assert (card.name, card.total, card.free) == ("NVIDIA RTX A5000", 24 * GIB, 10 * GIB)
    assert [(process.pid, process.bytes) for process in card.foreign] == [
        (4194303, 7 * GIB), (1, 6 * GIB), (4194302, 0)
    ]  # fmt: skip
    assert card.foreign[0].name == "?" and card.foreign[1].name != "?"


def test_what_our_own_processes_hold_counts_as_free() -> None:
    (card,) = gpus.read(nvml=ADriver(), own_pids={4194303})
    assert card.free == 17 * GIB
    assert [process.pid for process in card.foreign] == [1, 4194302]


def test_without_a_driver_there_are_no_gpus() -> None:
    driver = ADriver()

    def missing() -> None:
        raise driver.NVMLError

    driver.nvmlInit = missing
    assert gpus.read(nvml=driver) == ()
