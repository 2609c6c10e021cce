"""Many rows of deployments moved by several at once: on PostgreSQL nobody's page ends in a deadlock."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.utils.timezone import now

from accounts.models import User
from models_admin.backends.base import Health
from models_admin.fit.memory_fit import GIB
from models_admin.loads import probing
from models_admin.models import Deployment
from tests.models_admin.machines import deployed, files, host, signed_in
from tests.processes import until

pytestmark = [pytest.mark.concurrent, pytest.mark.django_db(transaction=True)]
WARM = "/admin/models_admin/cataloguemodel/verb/warm/"


@pytest.fixture
def rows() -> list[Deployment]:
    """Four that fill a card, the last one unused for longest, and a fifth that needs all of it."""
    rack, since = host("gpu-1", free=8), now() - timedelta(hours=1)
    small = [
        deployed(
            files(f"m{number}", f"M{number}", 9), rack, "warm", measured_bytes=10 * GIB,
            last_used_at=since - timedelta(minutes=number),
        )
        for number in range(4)
    ]  # fmt: skip
    return [*small, deployed(files("big", "Big", 40), rack, "stopped", measured_bytes=44 * GIB)]


@contextmanager
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(3) as pool:
        yield pool


def start(pool: ThreadPoolExecutor, work: object) -> Future[int]:
    def run() -> int:
        try:
            answer = work()  # type: ignore[operator]
            return int(getattr(answer, "status_code", 0))
        finally:
            connection.close()

    return pool.submit(run)


def waiting() -> int:
    """How many wait for a lock of a row. SQLite tells nobody, and gives its one lock to each in turn."""
    if connection.vendor != "postgresql":
        return 99
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return int(cursor.fetchone()[0])


def press(client: Client, row: Deployment) -> object:
    return client.post(WARM, {"pk": row.pk})


def hold(row: Deployment, then: Deployment | None, is_held: threading.Event, let_go: threading.Event) -> None:
    """Somebody who locks a row, and later another one, in an order of his own; never the one who is sent away."""
    with transaction.atomic():
        with connection.cursor() if connection.vendor == "postgresql" else nullcontext() as cursor:
            if cursor:
                cursor.execute("SET LOCAL deadlock_timeout = '1min'")
        Deployment.objects.filter(pk=row.pk).update(detail="held")
        is_held.set()
        let_go.wait(30)
        if then is not None:
            Deployment.objects.filter(pk=then.pk).update(detail="held")


def test_an_eviction_and_an_engine_that_falls_silent_wait_in_one_order(
    rows: list[Deployment], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    client, engine = signed_in(User.objects.create_superuser("root")), rows[0].engine_id
    is_held, let_go = threading.Event(), threading.Event()
    with threads() as pool:
        holding = start(pool, lambda: hold(rows[1], None, is_held, let_go))
        assert is_held.wait(30)
        pressed = start(pool, lambda: press(client, rows[4]))
        until(lambda: waiting() >= 1, "the eviction waits")
        told = start(pool, lambda: probing.note_health(engine, Health(False, "engine_unreachable")))
        until(lambda: waiting() >= 2, "the engine's word waits")
        let_go.set()
        assert (holding.result(60), told.result(60), pressed.result(60)) == (0, 0, 302)
    assert "after a conflict" not in caplog.text
    states = set(Deployment.objects.filter(pk__in=[row.pk for row in rows[:4]]).values_list("state", flat=True))
    assert states in ({"draining"}, {"failed"})


def test_a_press_that_the_database_ends_for_another_is_done_again(rows: list[Deployment]) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has no deadlocks")
    client, (first, second) = signed_in(User.objects.create_superuser("root")), (rows[0], rows[3])
    is_held, let_go = threading.Event(), threading.Event()
    with threads() as pool:
        holding = start(pool, lambda: hold(second, first, is_held, let_go))
        assert is_held.wait(30)
        pressed = start(pool, lambda: press(client, rows[4]))
        until(lambda: waiting() >= 1, "the eviction waits")
        let_go.set()
        assert (holding.result(60), pressed.result(60)) == (0, 302)
    assert Deployment.objects.get(pk=rows[4].pk).state == "starting"
    assert Deployment.objects.filter(state="draining").count() == 4
