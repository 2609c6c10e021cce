"""Every route of the URL conf by name, so that a test notices a new one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver


def names(admin: bool = False) -> list[str]:
    """'namespace:name' of every route; those of the admin only where asked for."""
    return [name for name in _walk(get_resolver().url_patterns, "") if name.startswith("admin:") == admin]


def _walk(patterns: list[Any], prefix: str) -> Iterator[str]:
    for pattern in patterns:
        if isinstance(pattern, URLResolver):
            namespace = f"{prefix}{pattern.namespace}:" if pattern.namespace else prefix
            yield from _walk(pattern.url_patterns, namespace)
        elif isinstance(pattern, URLPattern):
            yield f"{prefix}{pattern.name or pattern.pattern}"
