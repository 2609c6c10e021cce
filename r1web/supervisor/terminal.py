"""What the person at the terminal sees: one line per step with its seconds."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

# When bin/up began, s on the monotonic clock: handed on by the half of it that ran before the environment.
BEGAN = "R1WEB_UP_BEGAN"


def note_beginning() -> None:
    os.environ[BEGAN] = str(time.monotonic())


def seconds_since_beginning() -> float:
    return time.monotonic() - float(os.environ.get(BEGAN, time.monotonic()))


def say(text: str) -> None:
    """Print one line; a closed terminal must not stop the site."""
    try:
        print(text, flush=True)
    except (OSError, UnicodeEncodeError, ValueError):
        return


class Step:
    """A step under way; `note` adds a word to its line."""

    def __init__(self) -> None:
        self.note = ""


@contextmanager
def step(name: str) -> Iterator[Step]:
    """Time a step and print its line when it ended well."""
    if sys.stdout.isatty():
        print(f"  {name} …", end="\r", flush=True)
    started, under_way = time.monotonic(), Step()
    yield under_way
    note = f"  ({under_way.note})" if under_way.note else ""
    say(f"  {name:<24} {time.monotonic() - started:6.1f} s{note}")
