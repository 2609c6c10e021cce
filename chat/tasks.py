"""Celery's entrance. A task hands its coroutine to the loop and waits; the loops start with the worker."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
import uuid
from typing import Any

from celery import shared_task
from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import DatabaseError

from chat import loop_thread, queue, scheduling
from chat.database import in_database
from chat.running import Runner
from models_admin.agents import host_agent
from models_admin.engines import fleet

log = logging.getLogger(__name__)


class _Process:
    """What this worker process runs; None in every other process."""

    runner: Runner | None = None
    leader: scheduling.Leader | None = None
    is_draining = False
    tasks: list[Any]


@worker_ready.connect
def start(sender: Any, **kwargs: Any) -> None:
    name = f"{sender.hostname}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
    loop_thread.start(_start(fleet.register_worker(name).pk)).result(timeout=30)


async def _start(worker_id: int) -> None:
    _Process.runner, _Process.leader = Runner(worker_id), scheduling.Leader()
    _Process.tasks = [*_Process.runner.loops(), *_Process.leader.loops(), *host_agent.loops(in_database)]


@worker_shutting_down.connect
def drain(**kwargs: Any) -> None:
    """Celery itself waits for running tasks; after the drain they end with their text kept. A second signal ends it."""
    seconds = 0 if _Process.is_draining else settings.DRAIN_SECONDS
    _Process.is_draining = True
    threading.Thread(target=_drain, args=[seconds], name="drain").start()


def _drain(seconds: float) -> None:
    runner, leader = _Process.runner, _Process.leader
    if runner is None or leader is None:
        return
    leader.is_draining, leader.is_leading = True, False
    with contextlib.suppress(DatabaseError):  # it runs out by itself in five seconds
        scheduling.give_up_lease(leader.id)
    loop_thread.start(runner.drain(seconds)).result()
    log.info("drained")


@shared_task(name=queue.RUN_GENERATION, acks_late=False)
def run_generation(generation_id: str, attempt: int) -> None:
    if _Process.runner is not None:
        loop_thread.start(_Process.runner.run(uuid.UUID(generation_id), attempt)).result()
