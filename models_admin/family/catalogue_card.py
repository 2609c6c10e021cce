"""What one entry of the catalogue tells: shape, sizes, names, licence, published figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from django.utils.translation import get_language

from models_admin.fit.memory_split import tensor_parallel_sizes
from models_admin.fit.model_shape import Mla, Shape


@dataclass(frozen=True)
class Wording:
    """One text in both languages of the site; as a string in the reader's."""

    english: str
    chinese: str

    def __str__(self) -> str:
        return self.chinese if (get_language() or "").startswith("zh") else self.english


@dataclass(frozen=True)
class Source:
    """Where a figure was published; `url` is empty for what was reckoned."""

    title: Wording
    url: str


@dataclass(frozen=True)
class Weights:
    """The size of all files in one quantisation, in bytes; rounded or reckoned where not `is_exact`."""

    quantisation: str
    format: str
    bytes: int
    is_exact: bool
    source: Source


@dataclass(frozen=True)
class Repository:
    """A repository on Hugging Face; `file` names one file of it, '' all."""

    format: str
    name: str
    file: str
    quantisation: str


@dataclass(frozen=True)
class Figure:
    """A published benchmark result: pass@1 in %, resolved in % or a rating. `note` tells a different set."""

    name: str
    value: float
    source: Source
    is_verified: bool
    note: str

    @property
    def title(self) -> str:
        return TITLES[self.name]

    @property
    def unit(self) -> str:
        return "" if self.name == "codeforces" else "%"


AS_WRITTEN = ("key", "name", "generation", "base", "parameters", "active_parameters", "context", "tags_are_verified")
# Bits of a weight where all large tensors have one type; 4-bit files mix several.
WHOLE_QUANTISATIONS = {"Q8_0": 8.5, "F16": 16.0, "FP16": 16.0, "BF16": 16.0}
TITLES = {
    "aime_2024": "AIME 2024",
    "math_500": "MATH-500",
    "gpqa_diamond": "GPQA Diamond",
    "livecodebench": "LiveCodeBench",
    "swe_bench_verified": "SWE-bench Verified",
    "codeforces": "Codeforces",
}


@dataclass(frozen=True)
class Sampling:
    """DeepSeek's advice; `system_prompt` is yes, no (discouraged) or unknown."""

    temperature: float
    top_p: float
    system_prompt: str
    begins_with_think: bool


@dataclass(frozen=True)
class Card:
    """One model of the family. `context` in tokens; `weights` maps a quantisation to its size."""

    key: str
    name: str
    generation: str
    good_for: Wording
    training: Wording
    base: str
    architecture: str
    gguf_architecture: str
    attention: str
    is_mixture: bool
    parameters: int
    active_parameters: int
    context: int
    shape: Shape
    licence: str
    base_licence: str
    ollama_tags: tuple[str, ...]
    tags_are_verified: bool
    repositories: tuple[Repository, ...]
    sizes: tuple[Weights, ...]
    sampling: Sampling
    figures: tuple[Figure, ...]

    @property
    def weights(self) -> Mapping[str, int]:
        return MappingProxyType({size.quantisation: size.bytes for size in self.sizes})

    def weights_in(self, quantisation: str) -> int | None:
        """Bytes in a quantisation: of a known file, or reckoned where all tensors take it; None = not known."""
        known = next((size for size in self.sizes if size.quantisation.lower() == quantisation.lower()), None)
        bits = WHOLE_QUANTISATIONS.get(quantisation.upper())
        return known.bytes if known else round(self.parameters * bits / 8) if bits else None

    @property
    def formats(self) -> tuple[str, ...]:
        """Formats in which files are known, without repetition."""
        own = ("Ollama",) if self.ollama_tags else ()
        return tuple(dict.fromkeys((*own, *(repository.format for repository in self.repositories))))

    @property
    def tensor_parallel(self) -> tuple[int, ...]:
        """Numbers of GPUs over which vLLM and SGLang can split it."""
        return tensor_parallel_sizes(self.shape)

    @property
    def download(self) -> Weights:
        """What people usually load: 4 bit where a file of it is known, else the weights as published."""
        return self.sizes[0]

    @property
    def repository(self) -> str:
        """DeepSeek's own repository on Hugging Face."""
        return self.repositories[0].name

    def repository_named(self, name: str) -> Repository | None:
        """The repository, or the file of one, that a name means; None for a tag of Ollama's."""
        plain = name.strip().lower()
        forms = {entry: {entry.name.lower(), entry.name.rsplit("/", 1)[-1].lower()} for entry in self.repositories}
        by_file = (entry for entry in self.repositories if entry.file and plain.endswith(entry.file.lower()))
        return next(by_file, None) or next((entry for entry, names in forms.items() if plain in names), None)

    @property
    def full_name(self) -> str:
        return self.repository.rsplit("/", 1)[-1]

    def figure(self, name: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.name == name), None)


def card_from(row: dict[str, Any], sources: Mapping[str, Source]) -> Card:
    """A row of catalogue.json."""
    architecture, licence = row["architecture"], row["licence"]
    return Card(
        **{name: row[name] for name in AS_WRITTEN},
        good_for=wording(row["good_for"]),
        training=Wording(" ".join(row["training"]["en"]), "".join(row["training"]["zh-hans"])),
        architecture=architecture["hf"],
        gguf_architecture=architecture["gguf"],
        attention=architecture["attention"],
        is_mixture=architecture["is_mixture"],
        shape=_shape(row),
        licence=licence["model"],
        base_licence=licence["base"],
        ollama_tags=tuple(row["ollama_tags"]),
        repositories=tuple(map(_repository, row["repositories"])),
        sizes=tuple(_weights(size, sources) for size in row["weights"]),
        sampling=Sampling(**row["sampling"]),
        figures=tuple(_figure(entry, sources) for entry in row["benchmarks"]),
    )


def wording(row: Mapping[str, str]) -> Wording:
    return Wording(row["en"], row["zh-hans"])


def _repository(row: dict[str, Any]) -> Repository:
    return Repository(row["format"], row["repository"], row["file"], row["quantisation"])


def _weights(row: dict[str, Any], sources: Mapping[str, Source]) -> Weights:
    return Weights(row["quantisation"], row["format"], row["bytes"], row["exact"], sources[row["source"]])


def _figure(row: dict[str, Any], sources: Mapping[str, Source]) -> Figure:
    return Figure(row["name"], row["value"], sources[row["source"]], row["verified"], row.get("note", ""))


def _shape(row: dict[str, Any]) -> Shape:
    shape, mla = row["shape"], row["shape"].get("mla")
    return Shape(
        layers=shape["layers"],
        attention_heads=shape["attention_heads"],
        kv_heads=shape["kv_heads"],
        key_length=mla["key_without_rope"] + mla["rope"] if mla else shape["head_dim"],
        value_length=mla["value"] if mla else shape["head_dim"],
        hidden_size=shape["hidden_size"],
        vocab_size=shape["vocabulary"],
        context_length=row["context"],
        mla=Mla(mla["latent"], mla["rope"]) if mla else None,
        feed_forward=shape["feed_forward"],
    )
