"""Hosts, engines, models and deployments, for admins."""

from __future__ import annotations

from django.contrib import admin
from django.utils import formats, timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin import catalogue_admin, engine_admin, host_admin, price_admin, pull_admin
from models_admin.engine_admin import two_lines
from models_admin.models import Deployment

# Django looks for this module alone; the imports register what the others show.
__all__ = ["catalogue_admin", "engine_admin", "host_admin", "price_admin", "pull_admin"]


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("artifact", "runs_on", "now", "size", "tokens_per_second")
    list_filter = ("state",)
    list_select_related = ("artifact", "engine__host")
    readonly_fields = ("state", "state_since")
    fields = ("artifact", "engine", "context_tokens", "slots", "tokens_per_second", "state", "state_since")

    @admin.display(description=_("Engine"), ordering="engine__base_url")
    def runs_on(self, row: Deployment) -> SafeString:
        return two_lines(row.engine.get_kind_display(), row.engine.base_url)

    @admin.display(description=_("State"), ordering="state")
    def now(self, row: Deployment) -> SafeString:
        since = formats.date_format(timezone.localtime(row.state_since), "SHORT_DATETIME_FORMAT")
        return two_lines(row.get_state_display(), gettext("since %(time)s") % {"time": since})

    @admin.display(description=_("Slots × context"), ordering="slots")
    def size(self, row: Deployment) -> str:
        return f"{row.slots} × {formats.number_format(row.context_tokens, force_grouping=True)}"
