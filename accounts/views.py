"""The door: sign in and out, password, first admin, language and look."""

from __future__ import annotations

from django.conf import settings
from django.contrib.auth import login
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import LoginView, LogoutView, PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import redirect, render
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_POST
from django.views.i18n import set_language as remember_language

from accounts import setup_link
from accounts.forms import ChangePasswordForm, SignInForm, SignUpForm
from accounts.models import User

MODEL_BACKEND = "django.contrib.auth.backends.ModelBackend"


class SignIn(LoginView):
    template_name = "accounts/signin.html"
    authentication_form = SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: SignInForm) -> HttpResponse:  # type: ignore[override]
        """A new browser speaks the person's language from the first page on."""
        response = super().form_valid(form)
        language, age = form.get_user().language, settings.LANGUAGE_COOKIE_AGE
        if language in dict(settings.LANGUAGES):
            response.set_cookie(settings.LANGUAGE_COOKIE_NAME, language, max_age=age, samesite="Lax")
        return response


class SignOut(LogoutView):
    http_method_names = ["post", "options"]


class ChangePassword(PasswordChangeView):
    template_name = "accounts/password.html"
    form_class = ChangePasswordForm
    success_url = "/"

    def form_valid(self, form: ChangePasswordForm) -> HttpResponse:  # type: ignore[override]
        super().form_valid(form)
        return render(self.request, "accounts/password_changed.html")


@sensitive_post_parameters()
@never_cache
def set_up(request: HttpRequest, token: str) -> HttpResponse:
    """The one-time link: makes the first admin and signs him in."""
    if not setup_link.is_open(token):
        return render(request, "accounts/setup_gone.html", status=404)
    form = SignUpForm(request.POST or None)
    if request.method != "POST" or not form.is_valid():
        return render(request, "accounts/setup.html", {"form": form})
    user = setup_link.redeem(token, username=form.cleaned_data["username"], password=form.cleaned_data["password1"])
    if user is None:
        return render(request, "accounts/setup_gone.html", status=404)
    login(request, user, backend=MODEL_BACKEND)
    return redirect("first-run")


def set_language(request: HttpRequest) -> HttpResponse:
    """Keeps the language in a cookie, and for people also in their row."""
    response = remember_language(request)
    if isinstance(request.user, User) and request.method == "POST":
        User.objects.filter(pk=request.user.pk).update(language=request.POST.get("language", "")[:10])
    return response


@login_required
@require_POST
def set_theme(request: HttpRequest) -> HttpResponseRedirect:
    theme = request.POST.get("theme", "")
    if theme in ("", "light", "dark"):
        User.objects.filter(username=request.user.get_username()).update(theme=theme)
    target = request.POST.get("next", "/")
    is_ours = url_has_allowed_host_and_scheme(target, allowed_hosts={request.get_host()})
    return HttpResponseRedirect(target if is_ours else "/")
