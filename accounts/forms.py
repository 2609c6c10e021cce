"""Forms of the door: sign in, sign up."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib.auth.forms import AuthenticationForm, BaseUserCreationForm, PasswordChangeForm
from django.utils.translation import gettext_lazy as _

from accounts.models import User


def _dress(form: forms.BaseForm) -> None:
    for field in form.fields.values():
        field.widget.attrs.setdefault("class", "input")


class SignInForm(AuthenticationForm):
    error_messages = {
        "invalid_login": _("User name and password do not match. Mind upper and lower case."),
        "inactive": _("This account is switched off. An admin can switch it on again."),
    }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("User name")
        self.fields["password"].label = _("Password")
        _dress(self)


class ChangePasswordForm(PasswordChangeForm):
    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["old_password"].label = _("Old password")
        self.fields["new_password1"].label = _("New password")
        self.fields["new_password1"].help_text = _("At least 8 characters, and not a common word.")
        self.fields["new_password2"].label = _("New password again")
        self.fields["new_password2"].help_text = ""
        _dress(self)


class SignUpForm(BaseUserCreationForm):  # type: ignore[type-arg]  # not subscriptable at run time
    """Name and password of somebody new: the first admin, or whoever was invited."""

    class Meta:
        model = User
        fields = ("username",)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["username"].label = _("User name")
        self.fields["username"].help_text = ""
        self.fields["password1"].label = _("Password")
        self.fields["password1"].help_text = _("At least 8 characters, and not a common word.")
        self.fields["password2"].label = _("Password again")
        self.fields["password2"].help_text = ""
        _dress(self)
