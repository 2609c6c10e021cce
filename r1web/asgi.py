"""HTTP to Django, sockets to the consumer behind the Origin check and the session."""

from __future__ import annotations

import os
from typing import Any, cast

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")

from django.core.asgi import get_asgi_application

http = get_asgi_application()

from channels.auth import AuthMiddlewareStack
from channels.routing import ProtocolTypeRouter, URLRouter

from chat.origin import SameOrigin
from chat.routing import websocket_urlpatterns

application = ProtocolTypeRouter(
    {"http": http, "websocket": SameOrigin(AuthMiddlewareStack(URLRouter(cast(Any, websocket_urlpatterns))))}
)
