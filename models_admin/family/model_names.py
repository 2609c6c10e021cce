"""Names of models as people write them, checked before they become a path or an argument."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

MAX_LENGTH = 200
MAX_ADDRESS = 300
_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_OLLAMA = re.compile(rf"(?:({_PART})/)?({_PART}):([A-Za-z0-9_][A-Za-z0-9._-]{{0,95}})")
_REPOSITORY = re.compile(rf"({_PART}/{_PART})((?:/[A-Za-z0-9][A-Za-z0-9._+-]*)*)")
_SERVED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]*")
_OLD = re.compile(r"ggml|\.bin$|\.ggjt$", re.IGNORECASE)
_SHARD = re.compile(r"-(\d{5})-of-(\d{5})(\.gguf)$", re.IGNORECASE)


class NameRefused(Exception):
    """Why a name is not taken, as a sentence for whoever wrote it."""


@dataclass(frozen=True)
class OllamaName:
    """`namespace` is `library` for Ollama's own."""

    namespace: str
    model: str
    tag: str

    def __str__(self) -> str:
        owner = "" if self.namespace == "library" else f"{self.namespace}/"
        return f"{owner}{self.model}:{self.tag}"


@dataclass(frozen=True)
class HubName:
    """OWNER/NAME on Hugging Face; `file` is a path in it, '' the whole."""

    repository: str
    file: str

    def __str__(self) -> str:
        return f"{self.repository}/{self.file}" if self.file else self.repository

    @property
    def shards(self) -> tuple[str, ...]:
        """All files of a split GGUF; of another, the one."""
        found = _SHARD.search(self.file)
        if not found:
            return (self.file,)
        stem, count = self.file[: found.start()], int(found[2])
        return tuple(f"{stem}-{n:05}-of-{found[2]}{found[3]}" for n in range(1, min(count, 999) + 1))


def ollama(name: str) -> OllamaName:
    """Raises NameRefused."""
    text = _plain(name)
    _refuse_other_hosts(text)
    if ":" not in text.rsplit("/", 1)[-1]:
        raise NameRefused(_("“%(name)s” has no tag; write it like deepseek-r1:7b.") % {"name": shown(text)})
    found = _OLLAMA.fullmatch(text)
    if not found or ".." in text:
        raise NameRefused(_("“%(name)s” is no name of an Ollama model.") % {"name": shown(text)})
    return OllamaName(found[1] or "library", found[2], found[3])


def repository(name: str) -> HubName:
    """OWNER/NAME or OWNER/NAME/FILE. Raises NameRefused."""
    text = _plain(name)
    _refuse_other_hosts(text)
    found = _REPOSITORY.fullmatch(text)
    if not found or ".." in text:
        raise NameRefused(
            _("“%(name)s” is no repository; write it like deepseek-ai/DeepSeek-R1.") % {"name": shown(text)}
        )
    return HubName(found[1], found[2].lstrip("/"))


def gguf(name: str) -> HubName:
    """A repository, with or without a file of it that ends in .gguf. Raises NameRefused."""
    wanted = repository(name)
    if wanted.file and not wanted.file.lower().endswith(".gguf"):
        sentence = (
            _("“%(name)s” is a file of the old GGML kind, which no engine reads any more; take a .gguf file.")
            if _OLD.search(wanted.file)
            else _("“%(name)s” does not end in .gguf.")
        )
        raise NameRefused(sentence % {"name": shown(wanted.file)})
    return wanted


def file_at(url: str) -> str:
    """The name of the GGUF file at an address. Raises NameRefused."""
    name = urlsplit(url).path.rsplit("/", 1)[-1] if len(url) <= MAX_ADDRESS else ""
    if not re.fullmatch(rf"{_PART}\.gguf", name, re.IGNORECASE) or not url.startswith(("http://", "https://")):
        raise NameRefused(_("“%(name)s” is not the address of a .gguf file.") % {"name": shown(url)})
    return name


def served(name: str) -> str:
    """The name under which an engine serves a model. Raises NameRefused."""
    text = _plain(name)
    if not _SERVED.fullmatch(text) or ".." in text or "://" in text:
        raise NameRefused(_("“%(name)s” is no name of a model.") % {"name": shown(text)})
    return text


def shown(name: str) -> str:
    """Fit to stand in a sentence: one line, nothing invisible, not long."""
    plain = "".join(character if character.isprintable() else "·" for character in name)
    return plain if len(plain) <= 80 else f"{plain[:79]}…"


def _plain(name: str) -> str:
    if len(name) > MAX_LENGTH:
        raise NameRefused(_("A name has at most %(count)d characters.") % {"count": MAX_LENGTH})
    text = name.strip(" ")
    if not text:
        raise NameRefused(_("Name a model."))
    return text


def _refuse_other_hosts(name: str) -> None:
    """A host before the first slash has a dot or a port; Ollama would follow it anywhere."""
    first, slash, _rest = name.partition("/")
    is_host = slash and ("." in first.strip(".") or ":" in first or first.lower() == "localhost")
    if is_host and re.match(r"[A-Za-z0-9\[]", first):
        raise NameRefused(
            _("“%(name)s” names a registry of its own; models come from the configured one only.")
            % {"name": shown(name)}
        )
