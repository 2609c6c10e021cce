"""People, groups and tokens, for admins; other modules show the rest."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserChangeForm
from django.contrib.auth.models import Group as DjangoGroup
from django.db.models import Count, Field, QuerySet
from django.forms import ModelForm
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext

from accounts import accounting_admin, invitation_admin, quota_admin, quota_request_admin, tokens, usage_admin
from accounts.models import ApiToken, Group, User

# Django looks for this module alone; the imports register what the others show.
__all__ = ["accounting_admin", "invitation_admin", "quota_admin", "quota_request_admin", "usage_admin"]
# Our own groups pay and weigh; Django's have the same name and no use here.
admin.site.unregister(DjangoGroup)
# The header has its own way back.
admin.site.site_url = None


class PersonForm(UserChangeForm):  # type: ignore[type-arg]
    """Whoever edits here is an administrator: as long as he cannot unmake himself, one is left."""

    editor_id: int | None = None

    def clean(self) -> Any:
        cleaned = super().clean()
        if self.instance.pk == self.editor_id:
            for name in {"is_active", "is_superuser"} & set(self.changed_data):
                self.add_error(name, _("You cannot take this from yourself; another administrator can."))
        return cleaned


class PasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]
    """Without Django's choice of no password: this site knows no other way to sign in."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)
        self.fields["password1"].required = self.fields["password2"].required = True


@admin.register(User)
class PersonAdmin(UserAdmin):  # type: ignore[type-arg]
    form = PersonForm
    change_password_form = PasswordForm
    change_user_password_template = "admin/accounts/user/change_password.html"
    list_display = ("username", "main_group", "is_active", "is_administrator", "last_login")
    list_filter = ("is_active", "is_superuser", "main_group")
    list_select_related = ("main_group",)
    search_fields = ("username", "first_name", "last_name", "email")
    readonly_fields = ("last_login", "date_joined")
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        (_("Person"), {"fields": ("first_name", "last_name", "email", "main_group")}),
        (_("Rights"), {"fields": ("is_active", "is_superuser")}),
        (_("Dates"), {"fields": ("last_login", "date_joined")}),
    )
    add_fieldsets = ((None, {"classes": ("wide",), "fields": ("username", "main_group", "password1", "password2")}),)
    actions = ("deactivate", "activate")

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> Any:
        """Nobody gives himself more rights than he has."""
        own = super().get_readonly_fields(request, obj)
        return own if _is_superuser(request) else (*own, "is_superuser")

    def get_form(self, request: HttpRequest, obj: User | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        form: Any = super().get_form(request, obj, **kwargs)
        form.editor_id = request.user.pk
        return form

    def formfield_for_dbfield(self, db_field: Field[Any, Any], request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "is_superuser":
            kwargs |= {"label": _("Administrator"), "help_text": _("May do everything in the admin.")}
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    @admin.display(description=_("Administrator"), boolean=True, ordering="is_superuser")
    def is_administrator(self, person: User) -> bool:
        return person.is_superuser

    def save_model(self, request: HttpRequest, obj: User, form: ModelForm[User], change: bool) -> None:
        """One choice for two of Django's: the admin lets nobody in who is not staff, and shows staff alone nothing."""
        if "is_superuser" in form.changed_data:
            obj.is_staff = obj.is_superuser
        super().save_model(request, obj, form, change)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not _is_superuser(request)
        return super().has_change_permission(request, obj) and not is_above

    def has_delete_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not _is_superuser(request)
        is_self = obj is not None and obj.pk == request.user.pk
        return super().has_delete_permission(request, obj) and not is_above and not is_self

    def get_deleted_objects(self, objs: Any, request: HttpRequest) -> Any:
        """His rows go with a person although nobody may write them one by one; they are counted, not listed."""
        _rows, counts, _lacking, protected = super().get_deleted_objects(objs, request)
        may = all(self.has_delete_permission(request, person) for person in objs)
        return [str(person) for person in objs], counts, set() if may else {self.opts.verbose_name}, protected

    @admin.action(description=_("Deactivate: signed out everywhere, tokens refused"), permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._switch(request, queryset, is_active=False)

    @admin.action(description=_("Activate"), permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        self._switch(request, queryset, is_active=True)

    def _switch(self, request: HttpRequest, queryset: QuerySet[User], *, is_active: bool) -> None:
        people = [
            person
            for person in queryset.exclude(pk=request.user.pk or 0)
            if self.has_change_permission(request, person)
        ]
        for person in people:  # saved one by one: saving is what cuts their sockets
            person.is_active = is_active
            person.save(update_fields=["is_active"])
        if not is_active and queryset.filter(pk=request.user.pk or 0).exists():
            self.message_user(request, _("You cannot deactivate yourself."), messages.WARNING)
        said = ngettext("%(count)d person changed.", "%(count)d people changed.", len(people))
        self.message_user(request, said % {"count": len(people)})


@admin.register(Group)
class GroupAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    fields = ("name", "may_use_cloud")
    list_display = ("name", "people")
    search_fields = ("name",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Group]:
        rows: QuerySet[Group] = super().get_queryset(request)
        return rows.annotate(people_count=Count("members"))

    @admin.display(description=_("People"), ordering="people_count")
    def people(self, group: Group) -> int:
        return int(group.people_count)  # type: ignore[attr-defined]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    list_display = ("name", "user", "prefix", "created_at", "expires_at", "last_used_at", "revoked_at")
    list_select_related = ("user",)
    list_filter = (("revoked_at", admin.EmptyFieldListFilter),)
    search_fields = ("name", "prefix", "user__username")
    autocomplete_fields = ("user",)
    fields = ("user", "name", "expires_at", "keeps_conversations", "is_background")
    actions = ("revoke",)

    def get_fields(self, request: HttpRequest, obj: ApiToken | None = None) -> Any:
        return self.fields if obj is None else (*self.fields, "prefix", "created_at", "last_used_at", "revoked_at")

    def has_change_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: ApiToken | None = None) -> bool:
        return False

    def has_revoke_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("accounts.change_apitoken"))

    def save_model(self, request: HttpRequest, obj: ApiToken, form: ModelForm[ApiToken], change: bool) -> None:
        made, secret = tokens.create(
            obj.user,
            obj.name,
            expires_at=obj.expires_at,
            keeps_conversations=obj.keeps_conversations,
            is_background=obj.is_background,
        )
        obj.pk, obj.prefix = made.pk, made.prefix
        request.new_secret = secret  # type: ignore[attr-defined]

    def response_add(self, request: HttpRequest, obj: ApiToken, post_url_continue: str | None = None) -> HttpResponse:
        """The only page that ever shows the secret; a redirect would have to store it."""
        context = {
            **self.admin_site.each_context(request),
            "title": _("The token was made"),
            "opts": self.opts,
            "token": obj,
            "secret": request.new_secret,  # type: ignore[attr-defined]
        }
        return TemplateResponse(request, "admin/accounts/apitoken/made.html", context)

    @admin.action(description=_("Revoke: refused from now on"), permissions=["revoke"])
    def revoke(self, request: HttpRequest, queryset: QuerySet[ApiToken]) -> None:
        for token in queryset:
            tokens.revoke(token)
        self.message_user(request, _("The tokens are refused from now on."), messages.SUCCESS)


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_superuser)
