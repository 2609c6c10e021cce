"""GGUF files at plain addresses: known by their SHA-256, and only from hosts that the setting names."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.translation import gettext as _

from models_admin.family import catalogue, model_names
from models_admin.family.artifacts import AddError
from models_admin.family.model_names import NameRefused
from models_admin.models import Artifact, CatalogueModel


def add(url: str, *, sha256: str) -> Artifact:
    """Store the artifact; nothing is asked of the address. Raises AddError."""
    try:
        name = model_names.file_at(url)
    except NameRefused as error:
        raise AddError(str(error)) from error
    digest = sha256.strip().lower()
    if not re.fullmatch("[0-9a-f]{64}", digest):
        raise AddError(_("A file at an address needs its checksum: 64 hexadecimal digits (--sha256)."))
    _require_allowed(url)
    with transaction.atomic():
        known = Artifact.objects.filter(source=Artifact.Source.GGUF, ref=url, digest=digest).first()
        if known is not None:
            return known
        model, _is_new = CatalogueModel.objects.get_or_create(key=name, defaults={"name": name[:120]})
        written = catalogue.quantisation_in(name)
        return Artifact.objects.create(
            model=model, source=Artifact.Source.GGUF, ref=url, digest=digest, quantisation=written
        )


def _require_allowed(url: str) -> None:
    parts = urlsplit(url)
    allowed = set(settings.MODEL_HOSTS)
    if parts.username or not allowed & {parts.hostname, parts.netloc}:
        raise AddError(
            _("%(host)s is no host that models may come from; R1WEB_MODEL_HOSTS names them.")
            % {"host": parts.hostname or url}
        )
