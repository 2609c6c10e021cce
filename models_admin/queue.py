"""Sends work to hosts and their words to the site, by task name. A message is a hint: the sweep sends a lost one again.

Orders go out after the transaction that decided them; what a host tells depends on no transaction.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Any

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

from live import doorbell
from models_admin.pull_orders import PullOrder, StopOrder, Told, as_json

log = logging.getLogger(__name__)
PULL = "models_admin.pull"
STOP_PULL = "models_admin.stop_pull"
REPORT_PULL = "models_admin.report_pull"
SITE = "run"


def pull(queue: str, order: PullOrder) -> None:
    transaction.on_commit(partial(_send, PULL, as_json(order), queue))


def stop_pull(queue: str, order: StopOrder) -> None:
    transaction.on_commit(partial(_send, STOP_PULL, as_json(order), queue))


def report_pull(told: Told) -> bool:
    """From a host, which has no database and no transaction. False where Redis is away."""
    return _send(REPORT_PULL, as_json(told), SITE)


def _send(name: str, message: dict[str, Any], queue: str) -> bool:
    # Asked first: kombu tries a Redis that is away for six seconds, message by message, whatever it is told.
    if not doorbell.is_reachable():
        log.warning("%s not sent: Redis is away", name)
        return False
    try:
        current_app.send_task(name, args=[message], queue=queue, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("%s not sent: %s", name, error)
        return False
    return True
