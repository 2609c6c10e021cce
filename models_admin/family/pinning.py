"""What a name of a model means: which source it belongs to, and the digest that the source gives it now."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.utils.translation import gettext as _

from models_admin.backends import registry
from models_admin.backends.base import BackendError, ModelMissing, Overloaded, Unreachable, WrongKey
from models_admin.backends.hub import Refused
from models_admin.family import catalogue, model_names
from models_admin.family.catalogue import Card
from models_admin.family.model_names import HubName, NameRefused, OllamaName
from models_admin.models import Artifact

Source = Artifact.Source


@dataclass(frozen=True)
class Wish:
    """An artifact to be: where its files come from, under which name, and its card where it is of the family."""

    source: Source
    name: OllamaName | HubName | str
    card: Card | None


@dataclass(frozen=True)
class Pin:
    """`digest` is '' where nothing can be pinned; `bytes` of the files."""

    digest: str = ""
    bytes: int | None = None


def wish_for(name: str, source: str) -> Wish:
    """`source` '' chooses by the name. Raises NameRefused."""
    if len(name) > model_names.MAX_LENGTH:
        name = model_names.served(name)  # refuses it
    if two := catalogue.meanings(name):
        raise NameRefused(two_meanings(two))
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
    return Wish(chosen, wanted, card)


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


async def pin(wish: Wish) -> Pin:
    """What the source says that the name means now. Raises BackendError, NameRefused."""
    match wish.name:
        case OllamaName(namespace, model, tag):
            resolved = await registry.ollama(_registries(), namespace, model, tag)
            return Pin(resolved.digest, resolved.bytes)
        case HubName():
            resolved = await registry.hugging_face(_registries(), wish.name.repository)
            return _pin_file(wish.name, resolved) if wish.source == Source.GGUF else _pin_repository(resolved)
        case _:
            return Pin()


def _pin_repository(resolved: registry.Resolved) -> Pin:
    weights = [file.bytes for file in resolved.files if file.name.endswith(".safetensors")]
    return Pin(resolved.digest, sum(weights) or resolved.bytes)


def _pin_file(name: HubName, resolved: registry.Resolved) -> Pin:
    """A file is pinned by its own digest; one in parts by the commit, which fixes all of them."""
    if not name.file:
        raise NameRefused(_which_file(name, resolved))
    parts = [resolved.named(part) for part in name.shards]
    found = [part for part in parts if part is not None]
    if len(found) < len(parts):
        raise NameRefused(_("%(repository)s has no file “%(file)s”.") % vars(name))
    digest = found[0].digest if len(found) == 1 and found[0].digest else resolved.digest
    return Pin(digest, sum(part.bytes for part in found))


def _which_file(name: HubName, resolved: registry.Resolved) -> str:
    files = [file.name for file in resolved.files if file.name.lower().endswith(".gguf")]
    if not files:
        return _("%(repository)s has no GGUF files.") % {"repository": name.repository}
    some = ", ".join(model_names.shown(file) for file in files[:8])
    return _("Say which file of %(repository)s, for example: %(files)s.") % {
        "repository": name.repository,
        "files": some,
    }


def name_of(row: Artifact) -> OllamaName | HubName:
    if row.source == Source.OLLAMA:
        return model_names.ollama(row.ref)
    return model_names.gguf(row.ref) if row.source == Source.GGUF else model_names.repository(row.ref)


def two_meanings(two: tuple[Card, ...]) -> str:
    """The sentence for people who wrote a name without a tag."""
    names = [f"{card.key} ({card.gguf_architecture})" for card in two]
    return _("“deepseek-r1” without a tag has meant two architectures; say which: %(names)s.") % {
        "names": ", ".join(names)
    }


def told(error: BackendError, name: str) -> str:
    """The sentence for people."""
    if isinstance(error, Refused):
        return _("The registry's answer about “%(name)s” can't be used: %(why)s.") % {"name": name, "why": error}
    return sentence(error.code, name) or sentence(Unreachable.code, name)


def sentence(code: str, name: str) -> str:
    """For a code of BackendError, in the reader's language; '' where there is none. `name` is what was looked up."""
    told = {
        ModelMissing.code: _("The registry knows no “%(name)s”."),
        WrongKey.code: _("The registry shows “%(name)s” to nobody without the right token (HF_TOKEN), or not at all."),
        Refused.code: _("The registry's answer about “%(name)s” can't be used."),
        Overloaded.code: _("The registry is busy; ask again later."),
        Unreachable.code: _(
            "The registry does not answer. Look at this machine's way to the internet, or set HF_ENDPOINT or "
            "OLLAMA_REGISTRY to a mirror that it reaches."
        ),
    }
    return told.get(code, "") % {"name": name}


def _registries() -> registry.Registries:
    return registry.Registries(settings.OLLAMA_REGISTRY, settings.HF_ENDPOINT, settings.HF_TOKEN)
