"""Addresses of the chat page."""

from __future__ import annotations

from django.urls import path

from chat import quota_views, views

urlpatterns = [
    path("", views.new_chat, name="new-chat"),
    path("conversations/", views.conversations, name="conversations"),
    path("models/", views.models, name="models"),
    path("models/choices/", views.choices, name="choices"),
    path("models/others/", views.others, name="others"),
    path("models/foretold/", views.foretold, name="foretold"),
    path("ready/", views.ready, name="ready"),
    path("ready/wish/", views.wish_ready, name="wish-ready"),
    path("ready/forget/", views.forget_ready, name="forget-ready"),
    path("limits/", quota_views.limits, name="limits"),
    path("limits/ask/", quota_views.ask_for_more, name="ask-for-more"),
    path("limits/read/", quota_views.read_answer, name="read-answer"),
    path("box/", views.the_box, name="box"),
    path("box/live/", views.box_live, name="box-live"),
    path("c/<uuid:conversation_id>/", views.conversation, name="conversation"),
    path("c/<uuid:conversation_id>/thread/", views.thread, name="thread"),
    path("c/<uuid:conversation_id>/rename/", views.rename, name="rename"),
    path("c/<uuid:conversation_id>/local-only/", views.local_only, name="local-only"),
    path("c/<uuid:conversation_id>/delete/", views.delete, name="delete"),
    path("c/<uuid:conversation_id>/restore/", views.restore, name="restore"),
    path("c/<uuid:conversation_id>/version/", views.version, name="version"),
]
