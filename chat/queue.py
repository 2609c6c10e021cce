"""Sends work to runners by task name, after the transaction that decided it. The sweep sends a lost message again."""

from __future__ import annotations

import logging
import uuid
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from live import doorbell

log = logging.getLogger(__name__)
RUN_GENERATION = "chat.run_generation"


def run_generation(generation_id: uuid.UUID, attempt: int) -> None:
    transaction.on_commit(partial(_send, RUN_GENERATION, [str(generation_id), attempt]))


def _send(name: str, arguments: list[object]) -> None:
    # Asked first: kombu tries a Redis that is away for six seconds, message by message, whatever it is told.
    if not doorbell.is_reachable():
        log.warning("%s not sent, the sweep will: Redis is away", name)
        return
    try:
        current_app.send_task(name, args=arguments, queue="run", retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("%s not sent, the sweep will: %s", name, error)
