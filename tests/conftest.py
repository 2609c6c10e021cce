"""Fixtures that start real processes; they cost nothing until a test asks for them.

`start_stack` starts the site's processes one by one with the scripted engine, so that a test can kill each.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.stack import Stack


@pytest.fixture
def start_stack() -> Iterator[Callable[..., Stack]]:
    """`start_stack(slots=…, pace=…, webs=…, runners=…) -> Stack`, all ended with the test."""
    stacks: list[Stack] = []

    def start(**options: Any) -> Stack:
        stacks.append(Stack(**options))
        return stacks[-1].start()

    yield start
    for stack in stacks:
        stack.end()


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """One stack for all tests of a file that leave it running."""
    made = Stack()
    try:
        yield made.start()
    finally:
        made.end()
