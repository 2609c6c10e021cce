"""Who may do what with which model: on the model's page, and on that of a group."""

from __future__ import annotations

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.admin import GroupAdmin
from accounts.models import Group
from models_admin.models import ModelAccess


class ModelAccessInline(admin.TabularInline):  # type: ignore[type-arg]
    """Groups and people listed for a model."""

    model = ModelAccess
    fields = ("group", "user", "may")
    autocomplete_fields = ("group", "user")
    verbose_name = _("group or person")
    verbose_name_plural = _("Who may ask it")
    extra = 0


class GroupAccessInline(admin.TabularInline):  # type: ignore[type-arg]
    """Models for which a group is listed."""

    model = ModelAccess
    fields = ("model", "may")
    autocomplete_fields = ("model",)
    verbose_name = _("model")
    verbose_name_plural = _("Models with a rule for this group")
    extra = 0


# People know no models: their page of a group gets these here.
admin.site.unregister(Group)


@admin.register(Group)
class GroupWithModelsAdmin(GroupAdmin):
    inlines = (GroupAccessInline,)
