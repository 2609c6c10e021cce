"""Keys of engines that hosts launch: site and agent reckon them from the host's secret, so that none travels."""

from __future__ import annotations

import hashlib
import hmac
import secrets as random_secrets
from typing import TYPE_CHECKING

from models_admin.engines import secrets

if TYPE_CHECKING:  # an agent reckons keys too, and has no tables
    from models_admin.models import Host


def key_of(host_secret: str, deployment: int) -> str:
    """The key that requests to this deployment's server must bear."""
    return hmac.new(host_secret.encode(), f"engine of deployment {deployment}".encode(), hashlib.sha256).hexdigest()


def secret_of(host: Host) -> str:
    """The host's secret, made when it is first asked for. Raises SecretUnreadable."""
    if not host.secret:
        made = secrets.encrypt(random_secrets.token_urlsafe(32))
        type(host)._default_manager.filter(pk=host.pk, secret="").update(secret=made)  # nosec B106
        host.refresh_from_db(fields=["secret"])
    return secrets.decrypt(host.secret)
