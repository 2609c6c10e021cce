"""Celery's entrance for what runners do with engines beside answers. A message that got lost is missed by the sweep."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, TypeVar

import uvloop
from celery import shared_task
from django.db import close_old_connections

from models_admin.first import first_wishes
from models_admin.hosts import runner_queue
from models_admin.loads import loading
from models_admin.pulls import ollama_deletion

T = TypeVar("T")


@shared_task(name=runner_queue.WARM_UP, acks_late=False)
def warm_up(deployment: int, attempt: int) -> None:
    _run(loading.warm_up(deployment, attempt, _in_thread))


@shared_task(name=runner_queue.UNLOAD, acks_late=False)
def unload(deployment: int, attempt: int) -> None:
    _run(loading.unload(deployment, attempt, _in_thread))


@shared_task(name=runner_queue.MEASURE, acks_late=False)
def measure(deployment: int, attempt: int) -> None:
    _run(loading.measure(deployment, attempt, _in_thread))


@shared_task(name=runner_queue.DELETE_MODEL, acks_late=False)
def delete_model(stored: int) -> None:
    _run(ollama_deletion.delete(stored, _in_thread))


@shared_task(name=runner_queue.ATTACH_FOUND, acks_late=False)
def attach_found() -> None:
    first_wishes.attach_found()


@shared_task(name=runner_queue.ADD_AND_PULL, acks_late=False)
def add_and_pull() -> None:
    first_wishes.add_and_pull()


async def _in_thread(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """The ORM on a thread of its own, with a connection that is closed after the call."""
    return await asyncio.to_thread(_fresh, partial(function, *args, **kwargs))


def _fresh(call: Callable[[], T]) -> T:
    close_old_connections()
    try:
        return call()
    finally:
        close_old_connections()


def _run(work: Coroutine[Any, Any, None]) -> None:
    # Cancelled by itself where the row belongs to another attempt meanwhile.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, contextlib.suppress(asyncio.CancelledError):
        runner.run(work)
