"""The Celery application of an agent away from the site: it takes the orders of its own host, under its own keys.

Orders are acknowledged in memory: what a process that died had taken, the site's sweep sends again. So its user of
Redis needs neither scripts nor keys beyond its two lists. Nothing is published: there is no remote control.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import threading
from typing import Any

import uvloop
from celery import Celery
from celery.signals import worker_init, worker_shutting_down
from kombu import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "r1web.settings")

from django.conf import settings

from models_admin.agents import agent
from models_admin.agents.agent_words import Letter, Reporter
from models_admin.hosts import membership
from models_admin.hosts.membership import Membership

log = logging.getLogger(__name__)
# Its last word; a site that is away finds out by the silence.
LEAVE_SECONDS = 4.0


def _member() -> Membership:
    found = membership.read(settings.DATA_DIR)
    if found is None:
        sys.exit("This machine joined no site: bin/up --join URL --code CODE does that.")
    return found


def _app(member: Membership) -> Celery:
    made = Celery("r1web-agent", include=["models_admin.agent_tasks"])
    made.config_from_object("django.conf:settings", namespace="CELERY")
    options = {**settings.CELERY_BROKER_TRANSPORT_OPTIONS, "global_keyprefix": member.prefix, "ack_emulation": False}
    made.conf.update(
        broker_url=member.redis_url,
        broker_transport_options=options,
        task_default_queue=member.queue,
        task_queues=[Queue(member.queue, no_declare=True)],  # the site declares it: its user may not
        worker_enable_remote_control=False,
    )
    return made


member = _member()
app = _app(member)


class _Work:
    """What this process does beside its tasks, on a thread of its own."""

    loop: asyncio.AbstractEventLoop | None = None
    task: asyncio.Task[None] | None = None
    thread: threading.Thread | None = None


@worker_init.connect
def start(**kwargs: Any) -> None:
    """Before the broker is reached: servers are looked after while it is away."""
    reporter = Reporter(member)
    agent.tell_through(reporter)
    _Work.thread = threading.Thread(target=_run, args=[reporter], name="agent", daemon=True)
    _Work.thread.start()


def _run(reporter: Reporter) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(reporter))


async def _work(reporter: Reporter) -> None:
    """Until the worker is asked to end. An agent whose work breaks off is ended: its supervisor starts another."""
    _Work.loop = asyncio.get_running_loop()
    _Work.task = asyncio.create_task(agent.run(reporter, secret=member.secret))
    await asyncio.wait([_Work.task])
    if not _Work.task.cancelled():
        log.error("the agent's work broke off", exc_info=_Work.task.exception())
        os._exit(1)
    await asyncio.to_thread(reporter.tell, Letter(has_left=True))


@worker_shutting_down.connect
def end(**kwargs: Any) -> None:
    if _Work.loop is not None and _Work.task is not None and _Work.thread is not None:
        _Work.loop.call_soon_threadsafe(_Work.task.cancel)
        _Work.thread.join(LEAVE_SECONDS)  # the process would end before the word is out
