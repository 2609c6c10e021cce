"""One asyncio loop (uvloop) in a thread of its own per runner.

Celery's threads only wait for coroutines that run here: hundreds of answers cost one process about 65 MB.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    made = uvloop.new_event_loop()
    threading.Thread(target=made.run_forever, name="loop", daemon=True).start()
    return made


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the loop; the future is for other threads."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())
