"""Server-sent events: one JSON object each, comments while nothing comes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
from django.http import StreamingHttpResponse

KEEP_ALIVE = b": waiting\n\n"
DONE = b"data: [DONE]\n\n"


def event(content: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(content) + b"\n\n"


def response(events: AsyncIterator[bytes]) -> StreamingHttpResponse:
    """The answer's head goes out at once; proxies are asked not to gather."""
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingHttpResponse(events, content_type="text/event-stream; charset=utf-8", headers=headers)
