"""Making a model's files known to the site by name, pinned to what the name means at this moment.

A name that means something else later is shown (`check_upstream`) and never followed.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from models_admin import catalogue, model_names
from models_admin.backends import registry
from models_admin.backends.base import BackendError, ModelMissing, Overloaded, WrongKey
from models_admin.catalogue import Card
from models_admin.model_names import HubName, NameRefused, OllamaName
from models_admin.models import Artifact, CatalogueModel

Source = Artifact.Source
PINNED = (Source.OLLAMA, Source.HF, Source.GGUF)
_QUANTISATION = re.compile(r"(?<![A-Za-z0-9])((?:UD-)?I?Q\d\w*|BF16|F16|FP16|F32)(?![A-Za-z0-9])", re.IGNORECASE)


class AddError(Exception):
    """Why a model was not added, as a sentence for whoever asked for it."""


@dataclass(frozen=True)
class Added:
    artifact: Artifact
    is_new: bool


@dataclass(frozen=True)
class Checked:
    """`problem` tells in a sentence why the source could not be asked, else ''."""

    artifact: Artifact
    problem: str = ""


@dataclass(frozen=True)
class _Wish:
    source: Source
    name: OllamaName | HubName | str
    card: Card | None


@dataclass(frozen=True)
class _Pin:
    digest: str = ""
    bytes: int | None = None
    ref: str = ""


def add(name: str, *, source: str = "") -> Added:
    """Store the artifact that `name` means now; '' chooses the source by the name. Raises AddError."""
    try:
        wish = _wish(name, source)
        pin = asyncio.run(_pin(wish))
    except NameRefused as error:
        raise AddError(str(error)) from error
    except BackendError as error:
        raise AddError(_told(error, model_names.shown(name))) from error
    return _store(wish, pin)


def check_upstream(artifacts: Iterable[Artifact] | None = None) -> list[Checked]:
    """Ask each source what the names mean now, and store it beside what is pinned."""
    rows = Artifact.objects.order_by("ref") if artifacts is None else artifacts
    pinned = [row for row in rows if row.source in PINNED and row.digest]
    return [_note(row, pin) for row, pin in zip(pinned, asyncio.run(_ask_all(pinned)), strict=True)]


def has_changed(artifact: Artifact) -> bool:
    """Whether the name means something else at its source than what is pinned here."""
    return bool(artifact.upstream_digest) and artifact.upstream_digest != artifact.digest


def registries() -> registry.Registries:
    return registry.Registries(settings.OLLAMA_REGISTRY, settings.HF_ENDPOINT, settings.HF_TOKEN)


def _wish(name: str, source: str) -> _Wish:
    if len(name) > model_names.MAX_LENGTH:
        name = model_names.served(name)  # refuses it
    if two := catalogue.meanings(name):
        raise NameRefused(_two_meanings(two))
    card = catalogue.find(name)
    chosen = _source(name, source, card)
    wanted: OllamaName | HubName | str
    match chosen:
        case Source.OLLAMA:
            wanted = model_names.ollama(_ollama_name(name, card))
        case Source.HF:
            wanted = model_names.repository(card.repository if card and "/" not in name else name)
            if wanted.file:
                raise NameRefused(_("A whole repository is wanted here, not a file of it."))
        case Source.GGUF:
            wanted = model_names.gguf(_gguf_name(name, card))
        case _:
            wanted = model_names.served(name)
    return _Wish(chosen, wanted, card)


def _source(name: str, source: str, card: Card | None) -> Source:
    if source:
        return Source(source)
    if name.lower().endswith(".gguf"):
        return Source.GGUF
    if ":" not in name and "/" in name:
        return Source.HF
    return Source.HF if card and not card.ollama_tags else Source.OLLAMA


def _ollama_name(name: str, card: Card | None) -> str:
    if card is None or ("/" in name and not name.lower().startswith("library/")):
        return name
    if not card.ollama_tags:
        raise NameRefused(_("%(model)s is not in Ollama's library.") % {"model": card.name})
    typed = name.strip().rsplit(":", 1)[-1]
    known = {tag.lower(): tag for tag in card.ollama_tags}
    is_variant = any(typed.lower().startswith(tag.rsplit("-q", 1)[0] + "-") for tag in known if "-q" in tag)
    tag = known.get(typed.lower()) or (typed if is_variant else card.ollama_tags[0])
    return f"{catalogue.FAMILY}:{tag}"


def _gguf_name(name: str, card: Card | None) -> str:
    if card is None or "/" in name:
        return name
    found = next((entry for entry in card.repositories if entry.format == "GGUF"), None)
    if found is None:
        raise NameRefused(_("No GGUF files of %(model)s are known here.") % {"model": card.name})
    return f"{found.name}/{found.file}" if found.file else found.name


async def _pin(wish: _Wish) -> _Pin:
    match wish.name:
        case OllamaName(namespace, model, tag):
            resolved = await registry.ollama(registries(), namespace, model, tag)
            return _Pin(resolved.digest, resolved.bytes)
        case HubName():
            resolved = await registry.hugging_face(registries(), wish.name.repository)
            return _pin_file(wish.name, resolved) if wish.source == Source.GGUF else _pin_repository(resolved)
        case _:
            return _Pin()


def _pin_repository(resolved: registry.Resolved) -> _Pin:
    weights = [file.bytes for file in resolved.files if file.name.endswith(".safetensors")]
    return _Pin(resolved.digest, sum(weights) or resolved.bytes)


def _pin_file(name: HubName, resolved: registry.Resolved) -> _Pin:
    """A file is pinned by its own digest; one in parts by the commit, which fixes all of them."""
    if not name.file:
        raise NameRefused(_which_file(name, resolved))
    parts = [resolved.named(part) for part in name.shards]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        raise NameRefused(_("%(repository)s has no file “%(file)s”.") % vars(name))
    digest = found[0].digest if len(found) == 1 and found[0].digest else resolved.digest
    return _Pin(digest, sum(part.bytes for part in found))


def _which_file(name: HubName, resolved: registry.Resolved) -> str:
    files = [file.name for file in resolved.files if file.name.lower().endswith(".gguf")]
    if not files:
        return _("%(repository)s has no GGUF files.") % {"repository": name.repository}
    some = ", ".join(model_names.shown(file) for file in files[:8])
    return _("Say which file of %(repository)s, for example: %(files)s.") % {
        "repository": name.repository,
        "files": some,
    }


@transaction.atomic
def _store(wish: _Wish, pin: _Pin) -> Added:
    ref = str(wish.name)
    known = Artifact.objects.filter(source=wish.source, ref=ref).order_by("pk").first()
    if known is not None:
        _note(known, pin)
        return Added(known, False)
    artifact = Artifact.objects.create(
        model=_model(wish, ref),
        source=wish.source,
        ref=ref,
        digest=pin.digest,
        quantisation=_quantisation(wish, ref),
        bytes=pin.bytes,
        upstream_digest=pin.digest,
        upstream_at=now() if pin.digest else None,
    )
    return Added(artifact, True)


def _model(wish: _Wish, ref: str) -> CatalogueModel:
    card = wish.card
    if card is None:
        return CatalogueModel.objects.get_or_create(key=ref, defaults={"name": ref[:120]})[0]
    # An engine that was attached before may have brought the model under its own name.
    for model in CatalogueModel.objects.order_by("pk"):
        if catalogue.find(model.key) == card:
            return model
    advice = {"temperature": card.sampling.temperature, "top_p": card.sampling.top_p}
    return CatalogueModel.objects.create(key=card.key, name=card.name, **advice)


def _quantisation(wish: _Wish, ref: str) -> str:
    if found := _QUANTISATION.search(ref.rsplit("/", 1)[-1]):
        return found[1].upper()
    if wish.card is None or wish.source == Source.API:
        return ""
    if wish.source == Source.OLLAMA:
        return wish.card.sizes[0].quantisation
    return next((entry.quantisation for entry in wish.card.repositories if entry.name.lower() == ref.lower()), "")


async def _ask_all(rows: list[Artifact]) -> list[_Pin | BackendError | NameRefused]:
    return await asyncio.gather(*(_ask(row) for row in rows))


async def _ask(row: Artifact) -> _Pin | BackendError | NameRefused:
    try:
        return await _pin(_Wish(Source(row.source), _name_of(row), None))
    except (BackendError, NameRefused) as error:
        return error


def _name_of(row: Artifact) -> OllamaName | HubName:
    if row.source == Source.OLLAMA:
        return model_names.ollama(row.ref)
    return model_names.gguf(row.ref) if row.source == Source.GGUF else model_names.repository(row.ref)


def _note(row: Artifact, pin: _Pin | BackendError | NameRefused) -> Checked:
    if isinstance(pin, BackendError):
        return Checked(row, _told(pin, row.ref))
    if isinstance(pin, NameRefused):
        return Checked(row, str(pin))
    row.upstream_digest, row.upstream_at = pin.digest, now()
    row.save(update_fields=["upstream_digest", "upstream_at"])
    return Checked(row)


def _two_meanings(two: tuple[Card, ...]) -> str:
    names = [f"{card.key} ({card.gguf_architecture})" for card in two]
    return _("“deepseek-r1” without a tag has meant two architectures; say which: %(names)s.") % {
        "names": ", ".join(names)
    }


def _told(error: BackendError, name: str) -> str:
    about = {"name": name, "why": error}
    match error:
        case ModelMissing():
            return _("The registry knows no “%(name)s”.") % about
        case WrongKey():
            return (
                _("The registry shows “%(name)s” to nobody without the right token (HF_TOKEN), or not at all.") % about
            )
        case registry.Refused():
            return _("The registry's answer about “%(name)s” can't be used: %(why)s.") % about
        case Overloaded():
            return _("The registry is busy (%(why)s); ask again later.") % about
    return _("The registry does not answer (%(why)s).") % about
