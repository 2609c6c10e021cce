"""docs/models.md: every model of the catalogue on the usual cards, and how the sum is made."""

from __future__ import annotations

from collections.abc import Callable

from django.utils.translation import override

from models_admin.family import catalogue
from models_admin.family.catalogue import Card
from models_admin.family.memory_sources import SourceError, Subject, from_card
from models_admin.fit.memory_fit import GIB, USUAL_CONTEXT, Fit, Gpu, Verdict, fit
from models_admin.fit.memory_split import tensor_parallel_sizes

MACHINES: dict[str, tuple[int, ...]] = {
    "8 GB": (8,),
    "12 GB": (12,),
    "16 GB": (16,),
    "24 GB": (24,),
    "2 × 24 GB": (24, 24),
    "48 GB": (48,),
    "80 GB": (80,),
    "8 × 80 GB": (80,) * 8,
    "8 × 141 GB": (141,) * 8,
}
RAM_GIB = 64

HEAD = """\
# Which model fits

`bin/manage fit MODEL` tells the same for your own cards, context and files, part by part; this page is made by
`bin/manage fit --table`. One answer at once with {context:,} tokens of context, which leaves R1 room to think, and a KV
cache in 16 bit.

- **yes**: the whole context fits on the GPUs.
- **32k** and the like: it fits with a context of at most so many tokens (k = 1,024).
- **21/28**: so many of its layers fit; the rest runs on the processor, which is slow. {ram} GB of memory are reckoned
  for that.
- **no**: it does not start, or needs more memory than that.

"""

FOOT = """\
## How the sum is made

**Weights + KV cache + overhead**, on every GPU.

- *Weights* are the bytes of all tensors: from the header of a GGUF file, from the index of a safetensors repository, or
  from the catalogue, where a rounded size counts as it is. The token embedding of a GGUF file stays in the machine's
  memory, unless the output layer uses it too.
- *KV cache* = layers × KV heads × (key + value length) × bytes a value × tokens × slots. A value takes 2 bytes in f16,
  1 in fp8, 34/32 in q8_0, 18/32 in q4_0. R1 itself keeps one compressed row of 512 + 64 values a layer
  (multi-head latent attention) in vLLM, SGLang and in llama.cpp with a file that has the MLA keys: 70,272 bytes a
  token. A file without them, such as Ollama's 671b, keeps every head: 4,997,120 bytes a token.
- *Overhead* is 1 GiB for each GPU in use: compute buffers with flash attention, the CUDA context, and what llama.cpp
  leaves free. Without GPUs it is what llama.cpp's buffers take, from the model's widths and the context.
- *Several GPUs*: llama.cpp and Ollama give each GPU whole layers with their cache, Ollama on as few GPUs as suffice.
  vLLM and SGLang cut every tensor into equal parts, so the smallest card decides; KV heads are parted among the GPUs
  and kept more than once where there are fewer of them than GPUs; the compressed row of R1 is kept whole by each. The
  number of GPUs has to divide the attention heads and the feed-forward width, and divide the KV heads or be a multiple
  of them.
- *What an engine may take*: llama.cpp and Ollama what is free; vLLM 92 % of each card, SGLang 88 % (it chooses by
  itself; this is assumed), less where other processes hold more than the rest. Memory of other processes is named.
- A card sold as 24 GB is reckoned with 24 GiB.

After a load, `bin/manage fit MODEL --loaded ADDRESS` measures what the engine really takes, by its own word or as the
memory of its process, and keeps both figures with the deployment. Both models that the tests load are within 10 % or
16 MiB. GPUs were not at hand: the overhead there is a planning value, not a measurement.
"""


def page() -> str:
    """The whole page, in English."""
    with override("en"):
        return (
            HEAD.format(context=USUAL_CONTEXT, ram=RAM_GIB)
            + _section(
                "## With Ollama or llama.cpp, in 4 bit",
                "Q4_K_M files. R1 671B is reckoned as Ollama's own file, which keeps the expanded cache.",
                lambda card: from_card(card, engine="ollama", quantisation="Q4_K_M"),
                "ollama",
            )
            + _section(
                "## With vLLM, as published",
                "bf16, R1 itself fp8. Tensor-parallel sizes are those at which vLLM and SGLang start.",
                lambda card: from_card(card, engine="vllm"),
                "vllm",
            )
            + FOOT
        )


def _section(title: str, about: str, subject_of: Callable[[Card], Subject], engine: str) -> str:
    sizes = engine == "vllm"
    names = ["model", "weights", "cache", *(["tensor parallel"] if sizes else []), *MACHINES]
    lines = [title, "", about, "", _line(names), _line(["---"] * len(names))]
    for card in catalogue.cards():
        try:
            subject = subject_of(card)
        except SourceError:
            continue  # no such file is known
        cache = f"{subject.shape.kv_bytes_per_token() * USUAL_CONTEXT / GIB:.2f}"
        weights = f"{subject.weights.total / GIB:.1f}"
        parallel = [", ".join(map(str, tensor_parallel_sizes(subject.shape)))] if sizes else []
        lines.append(_line([card.name, weights, cache, *parallel, *_cells(subject, engine)]))
    return "\n".join([*lines, "", "Weights and cache in GiB.", "", ""])


def _cells(subject: Subject, engine: str) -> list[str]:
    return [
        _cell(
            fit(
                subject.weights,
                subject.shape,
                tuple(map(Gpu.sized, machine)),
                context=USUAL_CONTEXT,
                engine=engine,
                ram=RAM_GIB * GIB,
            )
        )
        for machine in MACHINES.values()
    ]


def _cell(found: Fit) -> str:
    if found.verdict is Verdict.FITS:
        return "yes"
    if found.verdict is Verdict.SHORTER:
        return f"{found.longest_context // 1024}k"
    if found.verdict is Verdict.PARTLY and found.layers_on_gpu:
        return f"{found.layers_on_gpu}/{found.wish.shape.layers}"
    return "no"


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
