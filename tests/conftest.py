"""Fixtures that start real processes; they cost nothing until a test asks for them.

`stack` is the site's own processes and the scripted engine, each a handle, so that a test can kill any of them.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.stack import Stack

pytest_plugins = ["tests.real_engines.plugin"]


@pytest.fixture(scope="module")
def shared_stack() -> Iterator[Stack]:
    """One stack for the tests of a file; another file's answers are not its own to check."""
    made = Stack()
    try:
        yield made.start()
    finally:
        made.end()


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The shared stack, whole again after whatever the test did to it."""
    yield shared_stack
    shared_stack.revive()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """A test that commits leaves an empty ledger: SQLite's flush deletes row by row, which its triggers refuse."""
    marker = item.get_closest_marker("django_db")
    commits = marker is not None and marker.kwargs.get("transaction")
    if not commits and "transactional_db" not in getattr(item, "fixturenames", ()):
        return
    from django.db import connection

    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'ledger_no_%'")
            triggers = cursor.fetchall()
            for name, _sql in triggers:
                cursor.execute(f"DROP TRIGGER {name}")
            cursor.execute("DELETE FROM accounts_ledgerentry")
            for _name, sql in triggers:
                cursor.execute(sql)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's own loop stays in the thread, and no asynchronous test can run after it."""
    items.sort(key=lambda item: "journeys" in item.path.parts)
