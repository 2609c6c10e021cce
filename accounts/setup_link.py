"""The one-time link that makes the first admin: no link, no admin, so nobody can race for the account."""

from __future__ import annotations

import secrets

from django.db import transaction
from django.utils import timezone

from accounts.models import SetupLink, User
from accounts.tokens import digest_of


def make() -> str:
    """The path of a new link, which replaces unused ones; '' where an active admin exists."""
    if _has_admin():
        return ""
    token = secrets.token_urlsafe(32)
    with transaction.atomic():
        SetupLink.objects.filter(used_at__isnull=True).delete()
        SetupLink.objects.create(digest=digest_of(token))
    return f"/setup/{token}/"


def is_open(token: str) -> bool:
    """Whether the link can still make an admin."""
    return SetupLink.objects.filter(digest=digest_of(token), used_at__isnull=True).exists() and not _has_admin()


def redeem(token: str, *, username: str, password: str) -> User | None:
    """The new admin; None where the link is unknown, used or no longer needed. Of many at once, one wins."""
    with transaction.atomic():
        unused = SetupLink.objects.filter(digest=digest_of(token), used_at__isnull=True)
        if not unused.update(used_at=timezone.now()) or _has_admin():
            return None
        return User.objects.create_superuser(username=username, email="", password=password)


def _has_admin() -> bool:
    return User.objects.filter(is_superuser=True, is_active=True).exists()
