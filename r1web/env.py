"""Typed reading of environment variables: a wrong value stops the start with one sentence."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured


def text(name: str, default: str = "") -> str:
    return os.environ.get(name, "") or default


def boolean(name: str, default: bool) -> bool:
    raw = text(name).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name} is {raw!r}; write 1 or 0.")


def integer(name: str, default: int, *, least: int = 0, most: int = 2**31) -> int:
    raw = text(name)
    try:
        value = int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {raw!r}; write a whole number.") from None
    if not least <= value <= most:
        raise ImproperlyConfigured(f"{name} is {value}; it must lie between {least} and {most}.")
    return value


def choice(name: str, default: str, *, of: tuple[str, ...]) -> str:
    value = text(name, default)
    if value not in of:
        raise ImproperlyConfigured(f"{name} is {value!r}; write one of {', '.join(of)}.")
    return value


def words(name: str, default: str) -> list[str]:
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def address(name: str, default: str) -> str:
    """An http or https address without a trailing slash."""
    value = text(name, default).rstrip("/")
    with suppress(ValueError):
        parts = urlsplit(value)
        if parts.scheme in {"http", "https"} and parts.hostname and not (parts.query or parts.username):
            return value
    raise ImproperlyConfigured(f"{name} is not an address; write it like {default}.")


def place(name: str, default: str) -> str:
    """An address and a port, IPv6 in brackets; '' where it is not set."""
    value = text(name, default)
    with suppress(ValueError):
        parts = urlsplit(f"//{value}")
        if not value or (parts.hostname and parts.port and parts.netloc == value and "@" not in value):
            return value
    raise ImproperlyConfigured(f"{name} is {value!r}; write an address and a port, like 10.0.0.5:6390.")


def secret_keys(path: Path) -> list[str]:
    """The site's secrets, a line each: the present one first, then older ones. Made at the first start."""
    with suppress(FileNotFoundError):
        return path.read_text().split()
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(48))
    # A link appears whole, and only where there is none: processes that start at once all read one secret.
    with suppress(FileExistsError):
        os.link(fresh, path)
    fresh.unlink()
    return path.read_text().split()


def database(url: str) -> dict[str, Any]:
    """Django's DATABASES entry for `sqlite:///abs/path` or `postgres://user:pw@host:port/name`."""
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        return _sqlite(unquote(parts.path))
    if parts.scheme in {"postgres", "postgresql"}:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": unquote(parts.path.lstrip("/")),
            "USER": unquote(parts.username or ""),
            "PASSWORD": unquote(parts.password or ""),
            "HOST": unquote(parts.hostname or ""),
            "PORT": str(parts.port or ""),
            "CONN_MAX_AGE": 0,
            "CONN_HEALTH_CHECKS": True,  # the pool then hands out no connection that a restart of the server cut
            "OPTIONS": {"pool": {"min_size": 1, "max_size": 16, "timeout": 10}},
        }
    raise ImproperlyConfigured("DATABASE_URL must begin with sqlite:/// or postgres://.")


def _sqlite(path: str) -> dict[str, Any]:
    # Default settings gave 37-78 % "database is locked" at 50 generations/s; IMMEDIATE gave none.
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        # A file: the default in memory has other locks than people meet.
        "TEST": {"NAME": f"{path}-test"},
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 20,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        },
    }
