"""Addresses of the script door."""

from __future__ import annotations

from django.urls import path, re_path

from chat.api import endpoints

urlpatterns = [
    path("models", endpoints.list_models, name="api-models"),
    path("models/<path:key>", endpoints.one_model, name="api-model"),
    path("chat/completions", endpoints.chat_completions, name="api-chat-completions"),
    re_path("", endpoints.nothing_here, name="api-nothing"),
]
