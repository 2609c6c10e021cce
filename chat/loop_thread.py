"""One asyncio loop (uvloop) in a thread of its own per runner, and a few threads for the database.

Celery's threads only wait for coroutines that run here: hundreds of answers cost one process about 65 MB.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import uvloop
from django.db import close_old_connections

T = TypeVar("T")
DATABASE_THREADS = 4

_database = ThreadPoolExecutor(DATABASE_THREADS, thread_name_prefix="database")


@functools.cache
def loop() -> asyncio.AbstractEventLoop:
    made = uvloop.new_event_loop()
    threading.Thread(target=made.run_forever, name="loop", daemon=True).start()
    return made


def start(coroutine: Coroutine[Any, Any, T]) -> Future[T]:
    """Run a coroutine on the loop; the future is for other threads."""
    return asyncio.run_coroutine_threadsafe(coroutine, loop())


async def in_database(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function that uses the ORM on one of the database threads."""
    return await asyncio.get_running_loop().run_in_executor(
        _database, _fresh, functools.partial(function, *args, **kwargs)
    )


def _fresh(function: Callable[[], T]) -> T:
    close_old_connections()
    return function()
