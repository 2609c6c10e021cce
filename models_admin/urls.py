"""Addresses for machines; people's pages about them are in the chat's room and in the admin."""

from __future__ import annotations

from django.urls import path

from models_admin.agents import join_view
from models_admin.first import first_run_view

urlpatterns = [
    # Before the door's set-up link, whose token is longer than a word.
    path("setup/box/", first_run_view.page, name="first-run"),
    path("setup/box/live/", first_run_view.live, name="first-run-live"),
    path("hosts/join/", join_view.join, name="join-host"),
]
