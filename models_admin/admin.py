"""Hosts, engines, models and deployments, for admins."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.validators import URLValidator
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from models_admin import catalogue_admin, secrets
from models_admin.models import Deployment, Engine, Host

# Django looks for this module alone; the import registers what the other one shows.
__all__ = ["catalogue_admin"]


@admin.register(Host)
class HostAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "queue")
    fields = ("name", "queue")


class EngineForm(forms.ModelForm):  # type: ignore[type-arg]
    """The key goes in and never comes out."""

    new_key = forms.CharField(
        label=_("New key"),
        required=False,
        strip=True,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off"}),
        help_text=_("Stored encrypted and never shown. Empty keeps the key, unless the address changes."),
    )
    forget_key = forms.BooleanField(label=_("Forget the key"), required=False)
    base_url = forms.CharField(
        label=_("Address"),
        max_length=300,
        validators=[URLValidator(schemes=["http", "https"], message=_("Not an address."))],
        help_text=_(
            "An engine alone brings no model: bin/manage attach_engine URL --kind … --model … adds both in one step."
        ),
    )

    class Meta:
        model = Engine
        fields = ("host", "kind", "base_url")

    def clean_base_url(self) -> str:
        return str(self.cleaned_data["base_url"]).rstrip("/")


@admin.register(Engine)
class EngineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = EngineForm
    list_display = ("base_url", "kind", "host", "has_key", "is_launched", "build")
    list_filter = ("kind", "host")
    list_select_related = ("host",)
    readonly_fields = ("is_launched", "build")
    fields = ("host", "kind", "base_url", "new_key", "forget_key", "is_launched", "build")

    @admin.display(description=_("Key"), boolean=True)
    def has_key(self, engine: Engine) -> bool:
        return bool(engine.secret)

    def save_model(self, request: HttpRequest, obj: Engine, form: Any, change: bool) -> None:
        # Whoever may change the address must not receive there the key that was stored for another one.
        if form.cleaned_data["forget_key"] or form.initial.get("base_url") != obj.base_url:
            obj.secret = ""
        if form.cleaned_data["new_key"] and not form.cleaned_data["forget_key"]:
            obj.secret = secrets.encrypt(form.cleaned_data["new_key"])
        super().save_model(request, obj, form, change)


@admin.register(Deployment)
class DeploymentAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("artifact", "engine", "state", "state_since", "context_tokens", "slots", "tokens_per_second")
    list_filter = ("state",)
    list_select_related = ("artifact", "engine")
    readonly_fields = ("state", "state_since")
    fields = ("artifact", "engine", "context_tokens", "slots", "tokens_per_second", "state", "state_since")
