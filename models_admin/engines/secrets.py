"""Keys of engines, encrypted at rest: written by forms and commands, read only where an engine is called."""

from __future__ import annotations

import base64
import hashlib

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings


class SecretUnreadable(Exception):
    """The site's secret key is not the one this key was stored with: enter the engine's key again."""


def encrypt(plain: str) -> str:
    return _fernet().encrypt(plain.encode()).decode()


def decrypt(stored: str) -> str:
    try:
        return _fernet().decrypt(stored.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable from error


def renew(stored: str) -> str:
    """The same key under the site's present secret key. Raises SecretUnreadable."""
    try:
        return _fernet().rotate(stored.encode()).decode()
    except InvalidToken as error:
        raise SecretUnreadable from error


def _fernet() -> MultiFernet:
    """Writes with the present secret key, reads what older ones wrote as well."""
    keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
    return MultiFernet([Fernet(base64.urlsafe_b64encode(_digest(key))) for key in keys])


def _digest(key: str) -> bytes:
    return hashlib.sha256(b"r1web engine keys\0" + key.encode()).digest()
