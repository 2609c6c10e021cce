"""Keys of scripts. The secret is shown once; the table keeps its SHA-256."""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime, timedelta

from django.db.models import Q
from django.utils import timezone

from accounts.models import ApiToken, User

LEAD = "r1_"
SHOWN = 9
LONGEST = 200
USE_IS_NOTED_EVERY = timedelta(minutes=1)


def create(
    user: User,
    name: str,
    *,
    expires_at: datetime | None = None,
    keeps_conversations: bool = False,
    is_background: bool = False,
) -> tuple[ApiToken, str]:
    """A new token and its secret, which cannot be read again later."""
    secret = LEAD + secrets.token_urlsafe(32)
    token = ApiToken.objects.create(
        user=user,
        name=name,
        prefix=secret[:SHOWN],
        digest=digest_of(secret),
        expires_at=expires_at,
        keeps_conversations=keeps_conversations,
        is_background=is_background,
    )
    return token, secret


def authenticate(secret: str) -> ApiToken | None:
    """The token with its user; None where it is unknown, revoked, expired or its user is switched off."""
    if not secret.startswith(LEAD) or len(secret) > LONGEST:
        return None
    now = timezone.now()
    usable = ApiToken.objects.filter(usable_at(now), digest=digest_of(secret), user__is_active=True)
    token = usable.select_related("user__main_group").first()
    if token is not None:
        _note_use(token, now)
    return token


def is_usable(token: ApiToken) -> bool:
    """Whether a token that was right a moment ago still is."""
    return ApiToken.objects.filter(usable_at(timezone.now()), pk=token.pk, user__is_active=True).exists()


def revoke(token: ApiToken) -> None:
    """The next request with it is refused."""
    ApiToken.objects.filter(pk=token.pk, revoked_at__isnull=True).update(revoked_at=timezone.now())


def usable_at(now: datetime) -> Q:
    """Neither revoked nor expired."""
    return Q(revoked_at__isnull=True) & (Q(expires_at__isnull=True) | Q(expires_at__gt=now))


def digest_of(secret: str) -> str:
    # 256 random bits: a slow hash would only slow the site down.
    return hashlib.sha256(secret.encode("utf-8", "replace")).hexdigest()


def _note_use(token: ApiToken, now: datetime) -> None:
    due = Q(last_used_at__isnull=True) | Q(last_used_at__lt=now - USE_IS_NOTED_EVERY)
    ApiToken.objects.filter(due, pk=token.pk).update(last_used_at=now)
