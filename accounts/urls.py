"""Addresses of the door."""

from __future__ import annotations

from django.urls import path

from accounts import join_view, usage_view, views

urlpatterns = [
    path("signin/", views.SignIn.as_view(), name="signin"),
    path("signout/", views.SignOut.as_view(), name="signout"),
    path("password/", views.ChangePassword.as_view(), name="password"),
    path("setup/<str:token>/", views.set_up, name="setup"),
    path("join/<str:token>/", join_view.join, name="join"),
    path("language/", views.set_language, name="language"),
    path("theme/", views.set_theme, name="theme"),
    path("usage/", usage_view.own_usage, name="usage"),
    path("usage/usage.csv", usage_view.own_usage_csv, name="usage-csv"),
]
