"""Sends work to hosts and their words to the site, by task name. A message is a hint: the sweep sends a lost one again.

Orders go out after the transaction that decided them; what a host tells depends on no transaction. A host that joined
has its queue under a key prefix of its own: the transport keeps more keys than the queue's, and its user of Redis
reaches no others.
"""

from __future__ import annotations

import functools
from functools import partial

import msgspec
from celery import current_app
from django.db import transaction
from kombu import Connection, Producer
from kombu.pools import producers

from models_admin.hosts import membership, messages
from models_admin.orders.launch_orders import LaunchOrder
from models_admin.orders.pull_orders import PullOrder, StopOrder, Told, as_json

PULL = "models_admin.pull"
STOP_PULL = "models_admin.stop_pull"
LAUNCH = "models_admin.launch"
REPORT_PULL = "models_admin.report_pull"
# The first host's queue is the runners' own: they are its agent.
HOST_LEAD, LOCAL = "host.", "host.local"


def pull(queue: str, order: PullOrder) -> None:
    transaction.on_commit(partial(_send, PULL, order, queue))


def stop_pull(queue: str, order: StopOrder) -> None:
    transaction.on_commit(partial(_send, STOP_PULL, order, queue))


def launch(queue: str, order: LaunchOrder) -> None:
    transaction.on_commit(partial(_send, LAUNCH, order, queue))


def report_pull(told: Told) -> bool:
    """From the site's own machine, without a transaction. False where Redis is away."""
    return _send(REPORT_PULL, told, messages.RUNNERS)


def _send(name: str, message: msgspec.Struct, queue: str) -> bool:
    is_remote = queue.startswith(HOST_LEAD) and queue != LOCAL
    through = partial(_producer, queue) if is_remote else None
    return messages.send(name, [as_json(message)], queue=queue, through=through)


def _producer(queue: str) -> Producer:
    found: Producer = producers[_connection(queue)].acquire(block=True)
    return found


@functools.cache
def _connection(queue: str) -> Connection:
    """To the same Redis, under the prefix of the host whose queue it is."""
    prefix = membership.prefix_of(queue.removeprefix(HOST_LEAD))
    return current_app.connection_for_write(transport_options={"global_keyprefix": prefix})
