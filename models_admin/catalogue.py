"""The family of DeepSeek-R1 as facts: shapes, sizes, licences, published figures. Data in catalogue.json.

What was not seen at its source is marked there: `exact` for sizes, `verified` for figures and tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

from django.utils.translation import get_language

from models_admin.memory_split import tensor_parallel_sizes
from models_admin.model_shape import Mla, Shape

DATA = Path(__file__).with_name("catalogue.json")
FAMILY = "deepseek-r1"
# Ollama's library writes a quantisation behind a tag: 7b-qwen-distill-q8_0.
_QUANTISATION = re.compile(r"-(q\d\w*|fp16|bf16|f16)$")


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

    title: str
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
    advertised_context: int
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

    @property
    def full_name(self) -> str:
        return self.repository.rsplit("/", 1)[-1]

    def figure(self, name: str) -> Figure | None:
        return next((figure for figure in self.figures if figure.name == name), None)


@cache
def cards() -> tuple[Card, ...]:
    """All models, smallest first within the order of the file."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    sources = {key: Source(row["title"], row["url"]) for key, row in data["sources"].items()}
    return tuple(_card(row, sources) for row in data["models"])


def find(name: str) -> Card | None:
    """The card by key, tag (bare or Ollama's whole name), repository or the name under which engines serve it.

    A file of a repository leads to the repository's card.
    """
    plain = _plain(name)
    repository = "/".join(plain.split("/")[:2])
    tries = (plain, _QUANTISATION.sub("", plain), repository)
    return next((card for text in tries if (card := _by_name().get(text))), None)


def meanings(name: str) -> tuple[Card, ...]:
    """What a name without a tag may mean: Ollama's plain `deepseek-r1` was two architectures in turn."""
    if _plain(name) not in {FAMILY, f"{FAMILY}:latest", f"library/{FAMILY}"}:
        return ()
    return tuple(card for card in cards() if card.key in {f"{FAMILY}:7b", f"{FAMILY}:8b"})


def _plain(name: str) -> str:
    return name.strip().lower().removeprefix("registry.ollama.ai/").removeprefix("library/")


@cache
def _by_name() -> dict[str, Card]:
    found: dict[str, Card] = {}
    for card in cards():
        for name in _names(card):
            found.setdefault(name, card)
    return found


def _names(card: Card) -> set[str]:
    tags = {card.key.split(":")[-1], *card.ollama_tags} if card.key.startswith(f"{FAMILY}:") else set()
    names = {card.key, *tags, *(f"{FAMILY}:{tag}" for tag in tags), *(f"r1:{tag}" for tag in tags)}
    for repository in card.repositories:
        names |= {repository.name, repository.name.rsplit("/", 1)[-1]}
    names |= {repository.file for repository in card.repositories if repository.file}
    # DeepSeek's own repository bears the name that Ollama gave to two other models.
    plain = {name.lower() for name in names} - {FAMILY}
    return plain | {_QUANTISATION.sub("", name) for name in plain}


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


def _card(row: dict[str, Any], sources: dict[str, Source]) -> Card:
    architecture, sampling = row["architecture"], row["sampling"]
    return Card(
        key=row["key"],
        name=row["name"],
        generation=row["generation"],
        good_for=Wording(row["good_for"]["en"], row["good_for"]["zh-hans"]),
        training=Wording(" ".join(row["training"]["en"]), "".join(row["training"]["zh-hans"])),
        base=row["base"],
        architecture=architecture["hf"],
        gguf_architecture=architecture["gguf"],
        attention=architecture["attention"],
        is_mixture=architecture["is_mixture"],
        parameters=row["parameters"],
        active_parameters=row["active_parameters"],
        context=row["context"],
        advertised_context=row["advertised_context"],
        shape=_shape(row),
        licence=row["licence"]["model"],
        base_licence=row["licence"]["base"],
        ollama_tags=tuple(row["ollama_tags"]),
        tags_are_verified=row["tags_are_verified"],
        repositories=tuple(
            Repository(entry["format"], entry["repository"], entry["file"], entry["quantisation"])
            for entry in row["repositories"]
        ),
        sizes=tuple(
            Weights(size["quantisation"], size["format"], size["bytes"], size["exact"], sources[size["source"]])
            for size in row["weights"]
        ),
        sampling=Sampling(**sampling),
        figures=tuple(
            Figure(entry["name"], entry["value"], sources[entry["source"]], entry["verified"], entry.get("note", ""))
            for entry in row["benchmarks"]
        ),
    )
