"""Many threads through one door at the same moment."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from django.db import connection

Result = TypeVar("Result")


def race(act: Callable[[int], Result], *, threads: int) -> list[Result]:
    """What each of `threads` got from `act(number)`, all let go at once."""
    gate = threading.Barrier(threads)

    def run(number: int) -> Result:
        try:
            gate.wait(timeout=30)
            return act(number)
        finally:
            connection.close()

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(run, range(threads)))
