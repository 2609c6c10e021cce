"""A model's files on its page in the admin, as they are pinned."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.family import artifacts
from models_admin.models import Artifact
from models_admin.pages import catalogue_view

CHANGED = "admin/models_admin/cataloguemodel/_changed.html"


class ArtifactInline(admin.TabularInline):  # type: ignore[type-arg]
    """Pinned files are added by name and never edited: another digest is another artifact."""

    model = Artifact
    verbose_name_plural = _("Files")
    fields = readonly_fields = ("origin", "named", "bits", "size", "pinned", "upstream")
    extra = 0
    can_delete = False

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description=_("Source"))
    def origin(self, artifact: Artifact) -> str:
        return str(artifact.get_source_display())

    @admin.display(description=_("Name"))
    def named(self, artifact: Artifact) -> str:
        return artifact.ref

    @admin.display(description=_("Quantisation"))
    def bits(self, artifact: Artifact) -> str:
        return artifact.quantisation or "–"

    @admin.display(description=_("Size"))
    def size(self, artifact: Artifact) -> str:
        return catalogue_view.gigabytes(artifact.bytes) if artifact.bytes else "–"

    @admin.display(description=_("Pinned to"))
    def pinned(self, artifact: Artifact) -> str:
        return artifact.digest[:12] or gettext("nothing: an engine serves it")

    @admin.display(description=_("Upstream now"))
    def upstream(self, artifact: Artifact) -> SafeString | str:
        if not artifacts.has_changed(artifact):
            return gettext("the same") if artifact.upstream_digest else "–"
        return render_to_string(CHANGED, {"artifact": artifact})
