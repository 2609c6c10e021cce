"""Sends a message to a worker by task name. It is a hint: the row is the truth, and a sweep misses a lost one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from celery import current_app
from kombu import Producer
from kombu.exceptions import OperationalError

from live import doorbell

log = logging.getLogger(__name__)
RUNNERS = "run"


def send(
    name: str,
    args: Sequence[object],
    *,
    queue: str = RUNNERS,
    through: Callable[[], AbstractContextManager[Producer]] | None = None,
) -> bool:
    """False where Redis is away. `through` gives a connection of its own, opened only when Redis answers."""
    # Asked first: kombu tries a Redis that is away for six seconds, message by message, whatever it is told.
    if not doorbell.is_reachable():
        log.warning("%s not sent: Redis is away", name)
        return False
    try:
        with through() if through else nullcontext() as producer:
            current_app.send_task(name, args=args, queue=queue, producer=producer, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("%s not sent: %s", name, error)
        return False
    return True
