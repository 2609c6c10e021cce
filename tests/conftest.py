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


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests come last: Playwright's own loop stays in the thread, and no asynchronous test can run after it."""
    items.sort(key=lambda item: "journeys" in item.path.parts)
