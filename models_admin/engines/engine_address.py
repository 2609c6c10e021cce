"""The one form in which an engine's address is stored, wherever it was typed. Loads no HTTP client: pages need it."""

from __future__ import annotations

from urllib.parse import urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def one_form(typed: str) -> str | None:
    """Without a trailing slash or `/v1`; None for what is no engine's address, or carries a key for all to read."""
    url = typed.strip().rstrip("/").removesuffix("/v1").rstrip("/")
    try:
        parts = urlsplit(url)
        has_port = parts.port is None or parts.port > 0
    except ValueError:
        return None
    is_plain = not (parts.query or parts.fragment or "@" in parts.netloc) and url.isprintable() and " " not in url
    is_address = parts.scheme in {"http", "https"} and bool(parts.hostname) and has_port
    return url if is_plain and is_address else None
