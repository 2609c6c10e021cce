"""Names of models for pages that have only keys."""

from __future__ import annotations

from collections.abc import Mapping

from django import template

from models_admin.models import CatalogueModel

register = template.Library()


@register.simple_tag
def model_names() -> dict[str, str]:
    """Key → name."""
    return dict(CatalogueModel.objects.values_list("key", "name"))


@register.filter
def named(key: str, names: Mapping[str, str]) -> str:
    """A model that is in the catalogue no more keeps its key."""
    return names.get(key, key)
