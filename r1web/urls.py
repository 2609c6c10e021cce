"""Where each address leads."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from r1web import health

urlpatterns = [
    path("healthz", health.healthz, name="healthz"),
    path("livez", health.livez, name="livez"),
    path("admin/", admin.site.urls),
    path("v1/", include("chat.api.urls")),
    path("", include("models_admin.urls")),
    path("", include("accounts.urls")),
    path("", include("chat.urls")),
]
