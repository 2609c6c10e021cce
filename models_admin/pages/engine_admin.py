"""Engines, for admins: where they are, what they said of themselves and when, and what has changed."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import formats, timezone
from django.utils.decorators import method_decorator
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.timesince import timesince
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST

from models_admin.engines import engine_address, engine_facts, secrets
from models_admin.family.sentences import listed
from models_admin.loads.attachments import AttachError
from models_admin.models import Engine
from models_admin.pages import host_view, memory_words, served_models

TEMPLATES = "admin/models_admin/engine"
SHOWN_CHANGES = 20
_DIGEST = re.compile(r"[0-9a-f]{40,}")


class EngineForm(forms.ModelForm):  # type: ignore[type-arg]
    """The key goes in and never comes out."""

    new_key = forms.CharField(
        label=_("New key"),
        required=False,
        strip=True,
        max_length=500,
        widget=forms.PasswordInput(attrs={"autocomplete": "off", "class": "vTextField"}),
        help_text=_("Stored encrypted and never shown. Empty keeps the key, unless the address changes."),
    )
    forget_key = forms.BooleanField(label=_("Forget the key"), required=False)
    base_url = forms.CharField(
        label=_("Address"),
        max_length=300,
        widget=forms.TextInput(attrs={"class": "vTextField", "spellcheck": "false"}),
        help_text=_("Such as http://10.0.0.5:11434. Once it has answered, its models are chosen on its page."),
    )

    class Meta:
        model = Engine
        fields = ("host", "kind", "base_url", "is_cloud")

    def clean_base_url(self) -> str:
        url = engine_address.one_form(str(self.cleaned_data["base_url"]))
        if url is None:
            raise forms.ValidationError(_("Not an address."))
        return url

    def clean(self) -> None:
        super().clean()
        if self.cleaned_data.get("kind") == Engine.Kind.DEEPSEEK:
            self.cleaned_data["is_cloud"] = True


@admin.register(Engine)
class EngineAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    form = EngineForm
    change_form_template = f"{TEMPLATES}/change_form.html"
    list_display = ("base_url", "what", "now", "last_change", "has_key", "is_cloud")
    list_filter = ("kind", "host", "is_cloud")
    list_select_related = ("host",)
    readonly_fields = ("is_launched", "build", "load", "models_seen", "balance", "age", "changes_seen")
    fieldsets = (
        (None, {"fields": ("host", "kind", "base_url", "is_cloud", "new_key", "forget_key", "is_launched")}),
        (_("What it says of itself"), {"fields": ("build", "load", "models_seen", "balance", "age", "changes_seen")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Engine]:
        rows: QuerySet[Engine] = super().get_queryset(request).annotate(change_count=Count("changes"))
        return rows

    def get_fieldsets(self, request: HttpRequest, obj: Engine | None = None) -> Any:
        """A new one has said nothing yet, and only clouds have an account."""
        ways, told = super().get_fieldsets(request, obj)
        if obj is None:
            return [ways]
        words, fields = told
        shown = [name for name in fields["fields"] if name != "balance" or obj.is_cloud]
        return [ways, (words, {**fields, "fields": shown})]

    @admin.display(description=_("Kind"), ordering="kind")
    def what(self, engine: Engine) -> SafeString:
        return two_lines(engine.get_kind_display(), host_view.shown_build(engine))

    @admin.display(description=_("Load"), ordering="facts_at")
    def now(self, engine: Engine) -> SafeString:
        return two_lines(self.load(engine), self.age(engine))

    @admin.display(description=_("Key"), boolean=True)
    def has_key(self, engine: Engine) -> bool:
        return bool(engine.secret)

    @admin.display(description=_("Load"))
    def load(self, engine: Engine) -> str:
        facts = engine_facts.stored(engine)
        if facts is None or facts.running is None:
            return "–"
        told = gettext("%(running)d running") % {"running": facts.running}
        if facts.slots:
            told = gettext("%(running)d of %(slots)d running") % {"running": facts.running, "slots": facts.slots}
        waiting = gettext("%(waiting)d waiting in the engine") % {"waiting": facts.waiting} if facts.waiting else ""
        return listed((told, waiting))

    @admin.display(description=_("Models"))
    def models_seen(self, engine: Engine) -> SafeString | str:
        facts = engine_facts.stored(engine)
        rows = [(model.name, _about(model)) for model in facts.models] if facts else []
        return format_html_join("", "<p><b>{}</b><br>{}</p>", rows) or "–"

    @admin.display(description=_("Balance"))
    def balance(self, engine: Engine) -> str:
        facts = engine_facts.stored(engine)
        if facts is None or not facts.balances:
            return "–"
        amounts = ", ".join(f"{each.micro / 1_000_000:.2f} {each.currency}" for each in facts.balances)
        return amounts if facts.is_in_credit else gettext("%(amount)s: used up") % {"amount": amounts}

    @admin.display(description=_("Asked"), ordering="facts_at")
    def age(self, engine: Engine) -> str:
        if engine.facts_at is None:
            return gettext("never")
        if timezone.now() - engine.facts_at < timedelta(minutes=1):
            return gettext("just now")
        told = gettext("%(time)s ago") % {"time": timesince(engine.facts_at)}
        return told if engine_facts.is_fresh(engine) else gettext("%(told)s, so it may be otherwise") % {"told": told}

    @admin.display(description=_("Changes"))
    def last_change(self, engine: Engine) -> str:
        count: int = vars(engine)["change_count"]
        return ngettext("%(count)d change", "%(count)d changes", count) % {"count": count} if count else "–"

    @admin.display(description=_("Changes seen"))
    def changes_seen(self, engine: Engine) -> SafeString | str:
        rows = (
            (formats.date_format(timezone.localtime(row.at), "SHORT_DATETIME_FORMAT"), row.get_what_display(),
             _short(row.before), _short(row.after))
            for row in engine.changes.all()[:SHOWN_CHANGES]
        )  # fmt: skip
        return format_html_join("", "<p>{}: {}<br>{} → {}</p>", rows) or gettext("none")

    def get_urls(self) -> list[URLPattern]:
        door = self.admin_site.admin_view
        own = [
            path("<int:pk>/live/", door(self.live), name="models_admin_engine_live"),
            path("<int:pk>/attach/", door(require_POST(self.attach)), name="models_admin_engine_attach"),
        ]
        return [*own, *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        known = {"offer": served_models.of(row, request.user)} if row else {}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **known})

    def response_add(self, request: HttpRequest, obj: Engine, post_url_continue: str | None = None) -> HttpResponse:
        """On to its own page, where its models are chosen."""
        if "_addanother" in request.POST or "_popup" in request.POST:
            return super().response_add(request, obj, post_url_continue)
        return HttpResponseRedirect(reverse("admin:models_admin_engine_change", args=[obj.pk]))

    def live(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._seen(request, pk)
        return TemplateResponse(request, f"{TEMPLATES}/_served.html", {"offer": served_models.of(row, request.user)})

    def attach(self, request: HttpRequest, pk: int) -> HttpResponse:
        row = self._seen(request, pk)
        try:
            made = served_models.attach_all(row, request.POST.getlist("model"), person=request.user)
        except AttachError as error:
            self.message_user(request, str(error), messages.WARNING)
        else:
            words = ngettext("%(count)d model is attached.", "%(count)d models are attached.", made)
            self.message_user(request, words % {"count": made}, messages.SUCCESS)
        return HttpResponseRedirect(reverse("admin:models_admin_engine_change", args=[pk]))

    def _seen(self, request: HttpRequest, pk: int) -> Engine:
        row: Engine | None = self.get_object(request, str(pk))
        if row is None or not self.has_view_permission(request, row):
            raise PermissionDenied
        return row

    @method_decorator(sensitive_post_parameters("new_key"))
    def changeform_view(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        return super().changeform_view(request, *args, **kwargs)

    def save_model(self, request: HttpRequest, obj: Engine, form: Any, change: bool) -> None:
        # Whoever may change the address must not receive there the key that was stored for another one.
        if form.cleaned_data["forget_key"] or form.initial.get("base_url") != obj.base_url:
            obj.secret = ""
        if form.cleaned_data["new_key"] and not form.cleaned_data["forget_key"]:
            obj.secret = secrets.encrypt(form.cleaned_data["new_key"])
        super().save_model(request, obj, form, change)


def two_lines(first: str, second: str) -> SafeString:
    """A cell of a list with something smaller below."""
    return format_html('{}<span class="sub">{}</span>', first, second)


def _about(model: engine_facts.SeenModel) -> str:
    parts = [_short(model.identity)]
    if model.context_tokens:
        parts.append(gettext("context %(tokens)d") % {"tokens": model.context_tokens})
    if model.memory_bytes:
        parts.append(_memory(model.memory_bytes, model.gpu_bytes))
    if not model.is_loaded:
        parts.append(gettext("not loaded"))
    return " · ".join(part for part in parts if part)


def _short(identity: str) -> str:
    """Twelve digits tell one digest from another."""
    return identity[:12] if _DIGEST.fullmatch(identity) else identity


def _memory(taken: int, on_gpus: int | None) -> str:
    told = {"size": memory_words.size(taken)}
    if on_gpus is None:
        return gettext("%(size)s of memory") % told
    share = {"share": round(100 * on_gpus / taken)}
    return gettext("%(size)s of memory, %(share)d %% of it on GPUs") % {**told, **share}
