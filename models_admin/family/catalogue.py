"""The family of DeepSeek-R1 as facts: shapes, sizes, licences, published figures. Data in catalogue.json.

What was not seen at its source is marked there: `exact` for sizes, `verified` for figures and tags.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from models_admin.family.catalogue_card import Card, Source, card_from, wording

__all__ = ["FAMILY", "Card", "Source", "cards", "find", "first_of", "meanings", "quantisation_in"]

DATA = Path(__file__).with_name("catalogue.json")
FAMILY = "deepseek-r1"
# Ollama's library writes a quantisation behind a tag: 7b-qwen-distill-q8_0.
_QUANTISED = re.compile(r"-(q\d\w*|fp16|bf16|f16)$")
_QUANTISATION = re.compile(r"(?<![A-Za-z0-9])((?:UD-)?I?Q\d\w*|BF16|F16|FP16|F32)(?![A-Za-z0-9])", re.IGNORECASE)


@cache
def cards() -> tuple[Card, ...]:
    """All models, smallest first within the order of the file."""
    data = json.loads(DATA.read_text(encoding="utf-8"))
    sources = {key: Source(wording(row["title"]), row["url"]) for key, row in data["sources"].items()}
    return tuple(card_from(row, sources) for row in data["models"])


def find(name: str) -> Card | None:
    """The card by key, tag (bare or Ollama's whole name), repository or the name under which engines serve it.

    A file of a repository leads to the repository's card.
    """
    plain = _plain(name)
    repository = "/".join(plain.split("/")[:2])
    tries = (plain, _QUANTISED.sub("", plain), repository)
    return next((card for text in tries if (card := _by_name().get(text))), None)


def first_of(names: Iterable[str]) -> Card | None:
    """The card to which the first name leads that leads to one: a model's key, then the names of its files."""
    return next((card for name in names if (card := find(name))), None)


def quantisation_in(name: str) -> str:
    """The quantisation that a tag or file bears in its name, '' where it bears none."""
    found = _QUANTISATION.search(name.strip().rsplit("/", 1)[-1])
    return found[1].upper() if found else ""


def meanings(name: str) -> tuple[Card, ...]:
    """What a name without a tag may mean: Ollama's plain `deepseek-r1` was two architectures in turn."""
    if _plain(name) not in {FAMILY, f"{FAMILY}:latest"}:
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
    return plain | {_QUANTISED.sub("", name) for name in plain}
