"""The page behind an invitation: whoever opens it chooses a name and a password."""

from __future__ import annotations

from django.contrib.auth import login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters

from accounts import invitations
from accounts.forms import SignUpForm
from accounts.invitations import NameTaken
from accounts.models import User
from accounts.views import MODEL_BACKEND


@sensitive_post_parameters()
@never_cache
def join(request: HttpRequest, token: str) -> HttpResponse:
    """Who is signed in already is told so: nobody gets a second account by accident."""
    invitation = invitations.find(token)
    if invitation is None:
        return _gone(request)
    if request.user.is_authenticated:
        return render(request, "accounts/join_signed_in.html", {"invitation": invitation})
    form = SignUpForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            return _signed_up(request, token, form)
        except NameTaken:
            form.add_error("username", _("Somebody took this name just now; choose another one."))
    return render(request, "accounts/join.html", {"form": form, "invitation": invitation})


def _signed_up(request: HttpRequest, token: str, form: SignUpForm) -> HttpResponse:
    """Raises NameTaken."""
    name, password = form.cleaned_data["username"], form.cleaned_data["password1"]
    person: User | None = invitations.accept(token, username=name, password=password)
    if person is None:
        return _gone(request)
    login(request, person, backend=MODEL_BACKEND)
    return redirect("/")


def _gone(request: HttpRequest) -> HttpResponse:
    return render(request, "accounts/join_gone.html", status=404)
