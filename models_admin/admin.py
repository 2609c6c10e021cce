"""Hosts, engines, models, deployments, pins, pulls and the audit, for admins."""

from __future__ import annotations

from models_admin.pages import (
    access_admin,
    audit_admin,
    catalogue_admin,
    deployment_admin,
    engine_admin,
    host_admin,
    pin_admin,
    price_admin,
    pull_admin,
)

# Django looks for this module alone; the imports register what the others show.
__all__ = [
    "access_admin",
    "audit_admin",
    "catalogue_admin",
    "deployment_admin",
    "engine_admin",
    "host_admin",
    "pin_admin",
    "price_admin",
    "pull_admin",
]
