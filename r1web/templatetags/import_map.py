"""The import map: plain addresses of the page's modules to those with a content hash in their name."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from django import template
from django.conf import settings
from django.template import Context
from django.templatetags.static import static
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

register = template.Library()

LIBRARIES = {
    "markdown-it": "vendor/markdown-it/markdown-it.esm.min.mjs",
    "dompurify": "vendor/dompurify/purify.es.mjs",
    "highlight.js": "vendor/highlight.js/es/core.min.js",
    "katex": "vendor/katex/katex.mjs",
}
LANGUAGES = "vendor/highlight.js/es/languages"


@register.simple_tag(takes_context=True)
def import_map(context: Context) -> SafeString:
    """The script element. It is inline by nature, so it carries the page's nonce."""
    nonce = getattr(context.get("request"), "csp_nonce", "")
    # A `<` inside a JSON string could end the element.
    body = mark_safe(json.dumps({"imports": _imports()}).replace("<", "\\u003c"))  # nosec B308 B703
    return format_html('<script type="importmap" nonce="{}">{}</script>', nonce, body)


@lru_cache(maxsize=1)
def _imports() -> dict[str, str]:
    """Specifier → address. Relative imports resolve to plain addresses, which are keys here."""
    root = Path(settings.STATICFILES_DIRS[0])
    modules = sorted(path.relative_to(root).as_posix() for path in (root / "js").glob("*.js"))
    imports = {f"/{settings.STATIC_URL.strip('/')}/{name}": static(name) for name in modules}
    imports.update({name: static(path) for name, path in LIBRARIES.items() if (root / path).exists()})
    for path in sorted((root / LANGUAGES).glob("*.min.js")):
        name = path.name.removesuffix(".min.js")
        imports[f"highlight.js/languages/{name}"] = static(f"{LANGUAGES}/{path.name}")
    return imports
