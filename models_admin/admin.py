"""Hosts, engines, models and deployments, for admins."""

from __future__ import annotations

from django.contrib import admin

from models_admin import catalogue_admin, engine_admin, host_admin, price_admin, pull_admin
from models_admin.models import Deployment

# Django looks for this module alone; the imports register what the others show.
__all__ = ["catalogue_admin", "engine_admin", "host_admin", "price_admin", "pull_admin"]


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("artifact", "engine", "state", "state_since", "context_tokens", "slots", "tokens_per_second")
    list_filter = ("state",)
    list_select_related = ("artifact", "engine")
    readonly_fields = ("state", "state_since")
    fields = ("artifact", "engine", "context_tokens", "slots", "tokens_per_second", "state", "state_since")
