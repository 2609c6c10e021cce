from typing import Any, cast

from django.urls import path

from chat.consumers import ChatConsumer

websocket_urlpatterns = [path("ws/", cast(Any, ChatConsumer.as_asgi()))]
