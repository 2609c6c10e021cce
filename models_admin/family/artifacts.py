"""Making a model's files known to the site by name, pinned to what the name means at this moment.

A name that means something else later is shown (`check_upstream`) and never followed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from django.db import IntegrityError, transaction
from django.utils.timezone import now
from django.utils.translation import gettext as _

from models_admin.backends.base import BackendError, Unreachable
from models_admin.family import catalogue, memory_sources, model_names, pinning
from models_admin.family.memory_sources import SourceError
from models_admin.family.model_names import NameRefused
from models_admin.family.pinning import Pin, Source, Wish
from models_admin.models import Artifact, CatalogueModel

log = logging.getLogger(__name__)
PINNED = (Source.OLLAMA, Source.HF, Source.GGUF)
MAX_REF, MAX_KEY = 300, 200
# A hub closes itself to who asks too much at once; and an admin waits in the browser for all answers together.
AT_ONCE = 8
CHECK_SECONDS = 30


class AddError(Exception):
    """Why a model was not added, as a sentence for whoever asked for it.

    `code` is that of `pinning.sentence` where the source was the cause, for whoever tells it in another language.
    """

    def __init__(self, sentence: str, *, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True)
class Added:
    artifact: Artifact
    is_new: bool


@dataclass(frozen=True)
class Checked:
    """`problem` tells in a sentence why the source could not be asked, else ''."""

    artifact: Artifact
    problem: str = ""


def add(name: str, *, source: str = "") -> Added:
    """Store the artifact that `name` means now; '' chooses the source by the name. Raises AddError."""
    try:
        wish = pinning.wish_for(name, source)
        pin = asyncio.run(pinning.pin(wish))
    except NameRefused as error:
        raise AddError(str(error)) from error
    except BackendError as error:
        log.warning("a model was not added: %s: %s", type(error).__name__, error)
        raise AddError(pinning.told(error, model_names.shown(name)), code=error.code) from error
    return _store(wish, pin)


def add_file(path: Path) -> Added:
    """Store a GGUF file of this machine under its own digest. Reads all of it. Raises AddError."""
    try:
        whole = path.expanduser().resolve()
    except RuntimeError:  # ~NAME of somebody who is not here, or links in a circle
        whole = path
    if len(str(whole)) > MAX_REF:
        raise AddError(_("The path of a file has at most %(count)d characters.") % {"count": MAX_REF})
    if not whole.is_file():
        raise AddError(_("There is no file %(path)s.") % {"path": model_names.shown(str(path))})
    try:
        memory_sources.find(str(whole))
        with whole.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except SourceError as error:
        raise AddError(str(error)) from error
    except OSError as error:
        about = {"path": model_names.shown(str(path)), "why": error.strerror}
        raise AddError(_("%(path)s can't be read: %(why)s.") % about) from error
    wish = Wish(Source.GGUF, str(whole), catalogue.find(whole.name))
    return _store(wish, Pin(digest, whole.stat().st_size))


def check_upstream(artifacts: Iterable[Artifact] | None = None) -> list[Checked]:
    """Ask each source what the names mean now, and store it beside what is pinned."""
    rows = Artifact.objects.order_by("ref") if artifacts is None else artifacts
    pinned = [row for row in rows if row.source in PINNED and row.digest and not is_file(row)]
    return [_note(row, pin) for row, pin in zip(pinned, asyncio.run(_ask_all(pinned)), strict=True)]


def has_changed(artifact: Artifact) -> bool:
    """Whether the name means something else at its source than what is pinned here."""
    return bool(artifact.upstream_digest) and artifact.upstream_digest != artifact.digest


def is_file(artifact: Artifact) -> bool:
    """Whether it is a file of this machine or at a plain address, which have no registry to ask."""
    return artifact.ref.startswith(("/", "http://", "https://"))


def _store(wish: Wish, pin: Pin) -> Added:
    """The row of a name; whoever adds the same at the same moment gets the same one."""
    try:
        return _add(wish, pin)
    except IntegrityError:
        return _add(wish, pin)


@transaction.atomic
def _add(wish: Wish, pin: Pin) -> Added:
    ref = str(wish.name)
    known = Artifact.objects.filter(source=wish.source, ref=ref).order_by("pk")
    if not known.exists():
        # Locked, so that two who read different digests don't leave two rows of one name.
        model = CatalogueModel.objects.select_for_update().get(pk=_model(wish, ref).pk)
        if not known.exists():
            return Added(_created(wish, pin, model), True)
    row = known[0]
    _note(row, pin)
    return Added(row, False)


def _created(wish: Wish, pin: Pin, model: CatalogueModel) -> Artifact:
    ref = str(wish.name)
    return Artifact.objects.create(
        model=model,
        source=wish.source,
        ref=ref,
        digest=pin.digest,
        quantisation=_quantisation(wish, ref),
        bytes=pin.bytes,
        upstream_digest=pin.digest,
        upstream_at=now() if pin.digest else None,
    )


def _model(wish: Wish, ref: str) -> CatalogueModel:
    card = wish.card
    if card is None:
        # Nobody asks for a path; and a key is shorter than a path may be.
        key = Path(ref).stem[:MAX_KEY] if ref.startswith("/") else ref
        return CatalogueModel.objects.get_or_create(key=key, defaults={"name": key[:120]})[0]
    # An engine that was attached before may have brought the model under its own name.
    for model in CatalogueModel.objects.order_by("pk"):
        if catalogue.find(model.key) == card:
            return model
    advice = {"temperature": card.sampling.temperature, "top_p": card.sampling.top_p}
    return CatalogueModel.objects.create(key=card.key, name=card.name, **advice)


def _quantisation(wish: Wish, ref: str) -> str:
    if written := catalogue.quantisation_in(ref):
        return written
    if wish.card is None or wish.source == Source.API:
        return ""
    if wish.source == Source.OLLAMA:
        return wish.card.sizes[0].quantisation
    return next((entry.quantisation for entry in wish.card.repositories if entry.name.lower() == ref.lower()), "")


async def _ask_all(rows: list[Artifact]) -> list[Pin | BackendError | NameRefused]:
    gate = asyncio.Semaphore(AT_ONCE)
    until = asyncio.get_running_loop().time() + CHECK_SECONDS

    async def ask(row: Artifact) -> Pin | BackendError | NameRefused:
        try:
            async with asyncio.timeout_at(until), gate:
                return await _ask(row)
        except TimeoutError:
            return Unreachable(f"not all were asked within {CHECK_SECONDS} seconds")

    return await asyncio.gather(*map(ask, rows))


async def _ask(row: Artifact) -> Pin | BackendError | NameRefused:
    try:
        return await pinning.pin(Wish(Source(row.source), pinning.name_of(row), None))
    except (BackendError, NameRefused) as error:
        return error


def _note(row: Artifact, pin: Pin | BackendError | NameRefused) -> Checked:
    if isinstance(pin, BackendError):
        return Checked(row, pinning.told(pin, row.ref))
    if isinstance(pin, NameRefused):
        return Checked(row, str(pin))
    row.upstream_digest, row.upstream_at = pin.digest, now()
    # An update, since the row may have been deleted while its source was asked.
    Artifact.objects.filter(pk=row.pk).update(upstream_digest=row.upstream_digest, upstream_at=row.upstream_at)
    return Checked(row)
