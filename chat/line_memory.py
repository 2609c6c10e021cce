"""The leader's line: kept in memory, brought in step with the database at every turn, saved for the next leader."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

from django.conf import settings
from django.utils import timezone

from chat import waiting
from chat.line import Line
from chat.models import Generation
from chat.models import Line as LineRow

State = Generation.State
# What is asked is read at once; what left the line by another way is missed after this at the latest.
RECONCILE_SECONDS: Final = 5.0
# A question is stamped when its transaction begins, and seen when that ends.
MARGIN: Final = timedelta(seconds=10)


class LineMemory:
    """One per leader. Its turns exclude each other and may wait for the database: never call it on an event loop, but
    for `forget`. `held_back` are the deployments that got no work at the last turn, to make way for others."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._line = Line(running_per_flow=settings.RUNNING_PER_USER)
        self._reconciled_at = 0.0
        self._is_forgotten = True
        self.held_back: frozenset[int] = frozenset()

    @contextmanager
    def turn(self) -> Iterator[Line]:
        """The line as it is now, for as long as the block runs. Raises DatabaseError."""
        with self._lock:
            self._catch_up()
            yield self._line

    def copy(self) -> Line:
        """As it was at the last turn."""
        with self._lock:
            return self._line.copy()

    def forget(self) -> None:
        """Somebody else leads: the next turn here begins with what he saved."""
        self._is_forgotten = True

    def save(self, leader: uuid.UUID) -> None:
        """For the next leader; nothing where there is one already. Raises DatabaseError."""
        with self._lock:
            saved = None if self._is_forgotten else self._line.save()
        if saved is not None:
            LineRow.objects.filter(name="site", leader=leader).update(tags=saved)

    def _catch_up(self) -> None:
        now = time.monotonic()
        if self._is_forgotten:
            self._is_forgotten = False
            self._line = waiting.read_line()
        elif now - self._reconciled_at > RECONCILE_SECONDS:
            self._reconcile()
        else:
            self._follow_held()
            self._enqueue_since()
            return
        self._reconciled_at = now

    def _enqueue_since(self) -> None:
        for live in waiting.waiting(timezone.now() - timedelta(seconds=RECONCILE_SECONDS) - MARGIN):
            self._line.enqueue(live.entry)

    def _follow_held(self) -> None:
        """Those that have a slot: what they are charged by now, who has ended, who was put back."""
        held = self._line.held
        for live in waiting.of(held):
            key = live.entry.key
            held.discard(key)
            if live.state in (State.RELEASED, State.RUNNING):
                self._line.charge(key, live.gpu_ms)
            elif live.state == State.WAITING:  # charged all of it at his end
                self._line.give_back(key)
            else:
                self._line.finish(key, live.gpu_ms)
        for key in held:  # its person was deleted
            self._line.finish(key, self._line.charged(key))

    def _reconcile(self) -> None:
        self._follow_held()
        there = {live.entry.key: live.entry for live in waiting.waiting()}
        for entry in list(self._line):
            if entry.key not in there:
                self._line.withdraw(entry.key)
        for entry in there.values():
            self._line.enqueue(entry)
        for live in waiting.held():
            self._line.hold(live.entry)
