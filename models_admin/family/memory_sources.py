"""What `fit` is asked about: a model of the catalogue, a file, a folder or an address, as shape and bytes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from django.utils.translation import gettext as _

from models_admin.backends import download
from models_admin.backends.base import BackendError, ModelMissing, WrongKey
from models_admin.backends.hub import Refused
from models_admin.family import catalogue, pinning
from models_admin.family.catalogue import Card
from models_admin.family.catalogue_card import Repository
from models_admin.fit import gguf
from models_admin.fit.memory_fit import Candidate, Weights
from models_admin.fit.shape_reading import NoShape, from_config, from_gguf, from_index

# Engines that load GGUF; the others load what a repository holds in safetensors format.
GGUF_ENGINES = ("llama.cpp", "ollama")
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})\.gguf$")
_MOST_SHARDS = 1_000
_HUB = re.compile(r"https://huggingface\.co/[^/]+/[^/]+")


class SourceError(Exception):
    """What is wrong with the name, file or address, as a sentence."""


@dataclass(frozen=True)
class Subject(Candidate):
    """`card` is the model's entry in the catalogue, where it has one; `quantisation` of the weights meant.

    `engine` is the one that was asked for, else the usual one for such files.
    """

    engine: str
    card: Card | None = None
    quantisation: str = ""


def find(name: str, *, engine: str = "", quantisation: str = "") -> Subject:
    """What a name, path or address means; `engine` '' chooses by it. Raises SourceError."""
    try:
        if name.startswith(("http://", "https://")):
            return _for_engine(engine, _from_address(name.rstrip("/")))
        if (path := Path(name).expanduser()).exists():
            return _for_engine(engine, _from_path(path))
    except (gguf.GgufError, NoShape, OSError, RuntimeError, BackendError) as error:
        raise SourceError(_("%(name)s can't be used: %(why)s.") % {"name": name, "why": _why(error)}) from error
    if two := catalogue.meanings(name):
        raise SourceError(pinning.two_meanings(two))
    card = catalogue.find(name)
    if card is None:
        raise SourceError(_("“%(name)s” is no model of the catalogue, no file and no address.") % {"name": name})
    files = card.repository_named(name)
    named = files.quantisation if files else catalogue.quantisation_in(name)
    return from_card(card, engine=engine or _usual_engine(card, files), quantisation=quantisation or named)


def _usual_engine(card: Card, files: Repository | None) -> str:
    """What loads the files that were named; of a bare name Ollama, where its library has it."""
    if files is not None:
        return "llama.cpp" if files.format == "GGUF" else "vllm"
    return "ollama" if card.ollama_tags else "vllm"


def _for_engine(engine: str, found: Subject) -> Subject:
    return replace(found, engine=engine) if engine else found


def _why(error: Exception) -> str:
    """The reason in the reader's language; details of a header or an answer stay as they are."""
    about = {"detail": str(error), "bytes": f"{getattr(error, 'needs', 0):,}"}
    if isinstance(error, gguf.OldGgml):
        return _("it is a GGML file, the format before GGUF, which no engine of today loads")
    if isinstance(error, gguf.NotGguf):
        return _("it is no GGUF file that can be read (%(detail)s)") % about
    if isinstance(error, gguf.TooNew):
        return _("it is newer than this reader (%(detail)s)") % about
    if isinstance(error, gguf.Truncated):
        return _("it is shorter than its header says: %(bytes)s bytes are needed") % about
    if isinstance(error, gguf.Hostile):
        return _("its header can't be true (%(detail)s)") % about
    if isinstance(error, NoShape):
        return _("it does not tell what is needed (%(detail)s)") % about
    if isinstance(error, ModelMissing):
        return _("there is nothing at this address")
    if isinstance(error, WrongKey):
        return _("it is not open to everybody")
    if isinstance(error, Refused):
        return _("the address or the answer is not to be trusted (%(detail)s)") % about
    return _("it can't be reached (%(detail)s)") % about


def from_card(card: Card, *, engine: str, quantisation: str = "") -> Subject:
    """The card's weights in the format of the engine, the smallest first, or in `quantisation`. Raises SourceError."""
    if quantisation:
        size = card.weights_in(quantisation)
        found = [_of_size(card, quantisation.upper(), size, engine)] if size else []
    else:
        found = list(of_card(card, engine))
    if not found:
        sizes = ", ".join(card.weights)
        raise SourceError(
            _("No size of %(model)s is known for this; known are: %(sizes)s.") % {"model": card.name, "sizes": sizes}
        )
    return min(found, key=lambda each: each.weights.total)


def of_card(card: Card, engine: str) -> tuple[Subject, ...]:
    """All weights of a card that the engine can load; vLLM and SGLang: as published, not a conversion upwards."""
    wanted = "GGUF" if engine in GGUF_ENGINES else "safetensors"
    sizes = [size for size in card.sizes if size.format == wanted]
    return tuple(_of_size(card, size.quantisation, size.bytes, engine) for size in sizes)


def alternatives(subject: Subject) -> Iterator[Subject]:
    """What is smaller than the subject, the largest first: its own quantisations, then other models."""
    own = of_card(subject.card, subject.engine) if subject.card else ()
    others = [each for card in catalogue.cards() if card is not subject.card for each in of_card(card, subject.engine)]
    for group in (own, others):
        smaller = [each for each in group if each.weights.total < subject.weights.total]
        yield from sorted(smaller, key=lambda each: -each.weights.total)


def _of_size(card: Card, quantisation: str, size: int, engine: str) -> Subject:
    # The blob of Ollama's 671b has no MLA keys; the files made for llama.cpp since 2025 have them.
    shape = card.shape.expanded() if engine == "ollama" else card.shape
    return Subject(f"{card.name}, {quantisation}", Weights(size), shape, engine, card, quantisation)


def _from_address(url: str) -> Subject:
    name = urlsplit(url).path.rsplit("/", 1)[-1]
    if name.lower().endswith(".gguf"):
        headers = _shards(url, lambda each: asyncio.run(download.read_header(each)))
        shape, weights = from_gguf(headers)
        return Subject(name, weights, shape, "llama.cpp")
    folder = f"{url}/resolve/main" if _HUB.fullmatch(url) else url
    found = asyncio.run(download.read_repository(folder))
    return Subject(name, from_index(found.index, found.config), from_config(found.config), "vllm")


def _from_path(path: Path) -> Subject:
    if path.is_dir():
        files = sorted(path.glob("*.gguf"))
        if not files:
            return _from_folder(path)
        if len(files) > 1 and not _SHARD.search(files[0].name):
            raise NoShape("it holds several GGUF files")
        path = files[0]
    shape, weights = from_gguf(_shards(str(path), lambda each: gguf.read(Path(each))))
    return Subject(path.name, weights, shape, "llama.cpp")


def _from_folder(path: Path) -> Subject:
    if not (path / "config.json").exists():
        raise NoShape("it holds neither GGUF files nor config.json")
    config = _json(path / "config.json")
    index = path / "model.safetensors.index.json"
    if index.exists():
        weights = from_index(_json(index), config)
    else:
        weights = Weights(sum(map(_safetensors_bytes, path.glob("*.safetensors"))))
    if not weights.total:
        raise NoShape("it holds neither GGUF nor safetensors files")
    return Subject(path.resolve().name, weights, from_config(config), "vllm")


def _safetensors_bytes(path: Path) -> int:
    with path.open("rb") as file:
        header = int.from_bytes(file.read(download.LENGTH_BYTES), "little")
    return max(0, path.stat().st_size - download.LENGTH_BYTES - header)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(path.read_bytes())
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise NoShape(f"{path.name} is no JSON") from error
    if not isinstance(found, dict):
        raise NoShape(f"{path.name} holds no object")
    return found


def _shards(first: str, read: Callable[[str], gguf.Header]) -> list[gguf.Header]:
    """The headers of all files of a split model, or of the only one."""
    found = _SHARD.search(first)
    if not found or not 1 <= int(found[2]) <= _MOST_SHARDS:
        return [read(first)]
    stem = first[: found.start()]
    return [read(f"{stem}-{number:05d}-of-{found[2]}.gguf") for number in range(1, int(found[2]) + 1)]
