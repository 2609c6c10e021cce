"""Celery's entrance at the site: what its own machine's agent tells. Orders to hosts come in by `agent_tasks`."""

from __future__ import annotations

from typing import Any

import msgspec
from celery import shared_task

from models_admin.hosts import queue
from models_admin.orders.pull_orders import Told
from models_admin.pulls import deleting, pulling


@shared_task(name=queue.REPORT_PULL, acks_late=False)
def report_pull(told: dict[str, Any]) -> None:
    word = msgspec.convert(told, Told)
    if word.step is not None:
        pulling.note_step(word.job, word.attempt, word.step)
    if word.end is not None:
        pulling.note_end(word.job, word.attempt, word.end)
    if word.discarded is not None:
        deleting.note_host(word.job, word.discarded.reason, word.discarded.detail)
