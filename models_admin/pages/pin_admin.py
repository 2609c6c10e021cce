"""Pins, for admins: whose, on what, why, until when. Made and taken away by the verbs only, never edited."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from models_admin.loads import warming
from models_admin.loads.warming import WarmError
from models_admin.models import Deployment, Pin
from models_admin.pages import model_verbs, pin_words, verb_view
from models_admin.pages.host_view import moment
from models_admin.pages.model_verbs import Undo

TEMPLATE = "admin/models_admin/pin/add.html"


class PinForm(forms.Form):
    """Why is asked of everybody: whoever needs the memory wants to know whom to ask, and for what."""

    deployment = forms.ModelChoiceField(Deployment.objects.none(), label=_("Model"))
    reason = forms.CharField(label=_("Why"), max_length=300, widget=forms.TextInput(attrs={"class": "vTextField"}))
    ends_at = forms.DateTimeField(
        label=_("Until"),
        required=False,
        input_formats=["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=_("Empty: until somebody takes the pin away."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.label_suffix = ""
        rows = Deployment.objects.filter(engine__is_cloud=False).select_related("artifact__model", "engine__host")
        self.fields["deployment"].queryset = rows.order_by("artifact__model__name", "pk")  # type: ignore[attr-defined]
        self.fields["deployment"].label_from_instance = model_verbs.name  # type: ignore[attr-defined]


@admin.register(Pin)
class PinAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("what", "owner", "reason", "starts_at", "until")
    list_select_related = ("deployment__artifact__model", "deployment__engine__host")
    ordering = ("-pk",)
    actions = ("unpin",)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A pin that has ended stays readable; Unpin ends one that holds."""
        return False

    def has_unpin_permission(self, request: HttpRequest) -> bool:
        return model_verbs.may(request.user, "unpin")

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        return super().changelist_view(request, {"title": gettext("Pins"), **(extra_context or {})})

    @admin.display(description=_("Model"))
    def what(self, pin: Pin) -> str:
        return model_verbs.name(pin.deployment)

    @admin.display(description=_("Until"), ordering="ends_at")
    def until(self, pin: Pin) -> str:
        if pin.ends_at is None:
            return gettext("somebody takes it away")
        told = moment(pin.ends_at)
        return told if pin_words.holding([pin]) else gettext("ended %(time)s") % {"time": told}

    @admin.action(description=_("Unpin"), permissions=["unpin"])
    def unpin(self, request: HttpRequest, queryset: QuerySet[Pin]) -> None:
        rows: Iterable[int] = queryset.values_list("pk", flat=True)
        verb_view.press_all(request, "unpin", list(rows))

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PinForm(request.POST or None, initial={"deployment": request.GET.get("deployment", "")})
        if request.method == "POST" and form.is_valid() and self._pin(request, form):
            return HttpResponseRedirect(_back(request))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Pin a model"),
            "opts": self.opts,
            "form": form,
            "next": _back(request),
        }
        return TemplateResponse(request, TEMPLATE, context)

    def _pin(self, request: HttpRequest, form: PinForm) -> bool:
        wanted = form.cleaned_data
        try:
            made = warming.pin(
                wanted["deployment"], by=request.user.get_username(), reason=wanted["reason"], ends_at=wanted["ends_at"]
            )
        except WarmError as error:
            form.add_error(None, str(error))
            return False
        words = gettext("%(name)s is pinned.") % {"name": model_verbs.name(made)}
        messages.success(request, verb_view.with_undo(words, Undo("unpin", made.pk, gettext("Unpin"))))
        return True


def _back(request: HttpRequest) -> str:
    """The page where the pin was asked for, else that of what is pinned."""
    if request.POST.get("next") or request.GET.get("next"):
        return verb_view.next_page(request)
    wanted = request.POST.get("deployment") or request.GET.get("deployment", "")
    if wanted.isdecimal():
        return reverse("admin:models_admin_deployment_change", args=[wanted])
    return reverse("admin:models_admin_pin_changelist")
