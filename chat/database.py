"""Threads for the ORM beside an event loop: a few for work, one for leases, which must never wait behind the work."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from django.db import close_old_connections

T = TypeVar("T")
WORK_THREADS = 4

_work = ThreadPoolExecutor(WORK_THREADS, thread_name_prefix="database")
_leases = ThreadPoolExecutor(1, thread_name_prefix="leases")


async def in_database(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call a function that uses the ORM on one of the database threads."""
    return await _run(_work, functools.partial(function, *args, **kwargs))


async def on_lease_thread(function: Callable[..., T], *args: Any) -> T:
    """The same for heartbeats and leases."""
    return await _run(_leases, functools.partial(function, *args))


async def _run(executor: ThreadPoolExecutor, call: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(executor, _fresh, call)


def _fresh(call: Callable[[], T]) -> T:
    close_old_connections()
    return call()
