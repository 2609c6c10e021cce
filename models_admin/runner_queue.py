"""Sends loads, unloads and measurements to a runner, who speaks to engines the way answers do. Hints, no truths."""

from __future__ import annotations

import logging
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from live import doorbell

log = logging.getLogger(__name__)
WARM_UP = "models_admin.warm_up"
UNLOAD = "models_admin.unload"
MEASURE = "models_admin.measure"
DELETE_MODEL = "models_admin.delete_model"
ATTACH_FOUND = "models_admin.attach_found"
ADD_AND_PULL = "models_admin.add_and_pull"
RUNNERS = "run"


def warm_up(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(_send, WARM_UP, deployment, attempt))


def unload(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(_send, UNLOAD, deployment, attempt))


def measure(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(_send, MEASURE, deployment, attempt))


def delete_model(engine: int, name: str) -> None:
    transaction.on_commit(partial(_send, DELETE_MODEL, engine, name))


def attach_found() -> None:
    transaction.on_commit(partial(_send, ATTACH_FOUND))


def add_and_pull() -> None:
    transaction.on_commit(partial(_send, ADD_AND_PULL))


def _send(name: str, *arguments: object) -> None:
    # Asked first: kombu tries a Redis that is away for six seconds, message by message, whatever it is told.
    if not doorbell.is_reachable():
        log.warning("%s not sent, the sweep will: Redis is away", name)
        return
    try:
        current_app.send_task(name, args=arguments, queue=RUNNERS, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("%s not sent, the sweep will: %s", name, error)
