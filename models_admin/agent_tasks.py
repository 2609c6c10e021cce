"""Celery's entrance on a host: what the site tells it to do. Shared by runners, which are their machine's agent, and by
agents elsewhere, which have no database: no row is read or written here.

Early acknowledged: Redis hands a message that nobody acknowledged out again after an hour, which a pull of 400 GB
takes. A pull whose process died is missed by the site's sweep within seconds instead.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import uvloop
from celery import shared_task
from celery.signals import worker_shutting_down
from django.conf import settings

from models_admin.agents import agent
from models_admin.backends.registry import Registries
from models_admin.hosts import queue
from models_admin.orders.launch_orders import LaunchOrder
from models_admin.orders.pull_orders import PullOrder, StopOrder
from models_admin.pulls import fetching
from models_admin.pulls.pull_sources import Place


def _place() -> Place:
    """The token stays in this process's environment: messages are kept on the broker's disk."""
    return Place(
        Path(settings.MODELS_DIR),
        Registries(settings.OLLAMA_REGISTRY, settings.HF_ENDPOINT, settings.HF_TOKEN),
        allowed_hosts=frozenset(settings.MODEL_HOSTS),
        spare_bytes=settings.MODELS_SPARE_BYTES,
    )


@worker_shutting_down.connect
def keep_bytes(**kwargs: Any) -> None:
    fetching.stop_all()


@shared_task(name=queue.PULL, acks_late=False)
def pull(order: dict[str, Any]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(fetching.pull(msgspec.convert(order, PullOrder), _place(), agent.tell_pull))


@shared_task(name=queue.STOP_PULL, acks_late=False)
def stop_pull(order: dict[str, Any]) -> None:
    fetching.stop(msgspec.convert(order, StopOrder), _place(), agent.tell_pull)


@shared_task(name=queue.LAUNCH, acks_late=False)
def launch(order: dict[str, Any]) -> None:
    agent.note_launch(msgspec.convert(order, LaunchOrder))
