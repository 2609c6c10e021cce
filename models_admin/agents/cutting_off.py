"""A host that harms the site loses its rights at once: it is gone, an admin reads why, a new code lets it return."""

from __future__ import annotations

import logging

from django.db import transaction

from models_admin import audit
from models_admin.agents import host_access
from models_admin.hosts import hosts
from models_admin.models import Host

log = logging.getLogger(__name__)


def cut_off(host_name: str, kept_bytes: int) -> None:
    """Its lists hold so many bytes. Raises RedisError: then a runner's upkeep expels it, as it is no host any more."""
    with transaction.atomic():
        host = Host.objects.select_for_update().filter(name=host_name).exclude(broker_digest="").first()
        if host is None:  # another runner was quicker
            return
        host.broker_digest, host.cut_off = "", hosts.FLOOD
        host.save(update_fields=["broker_digest", "cut_off"])
        audit.record("", "cut_off", host, before=host.address, why=f"{kept_bytes} bytes in its lists")
    log.error("%s is cut off: %d bytes lie in its lists", host_name, kept_bytes)
    host_access.expel(host_name)
