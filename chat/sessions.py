"""Who is connected to this web process, and whether each may stay: one query a second for all of them."""

from __future__ import annotations

import asyncio
import functools
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import msgspec
from django.contrib.sessions.models import Session
from django.db import DatabaseError
from django.db.models.functions import Now

from accounts.models import User
from chat import bells, protocol
from chat.database import in_database
from live import doorbell

if TYPE_CHECKING:
    from chat.consumers import ChatConsumer

CHECK_SECONDS = 1.0
FRESH_SECONDS = 1.2


class Sessions:
    """The sockets of this process by person, with a revision per person for the doorbell."""

    def __init__(self) -> None:
        self._sockets: dict[int, set[ChatConsumer]] = defaultdict(set)
        self._revs: Counter[int] = Counter()
        self._telling: set[asyncio.Task[None]] = set()
        self._tasks = [
            asyncio.create_task(doorbell.listen([bells.USER], self._heard)),
            asyncio.create_task(self._watch()),
        ]

    def join(self, socket: ChatConsumer) -> bool:
        """False when the person has too many open already."""
        mine = self._sockets[socket.user.pk]
        if len(mine) >= protocol.SOCKETS_PER_USER:
            return False
        mine.add(socket)
        return True

    def leave(self, socket: ChatConsumer) -> None:
        user = getattr(socket, "user", None)
        if user is not None:
            mine = self._sockets.get(user.pk, set())
            mine.discard(socket)
            if not mine:
                self._sockets.pop(user.pk, None)

    def rev(self, user_id: int) -> int:
        return self._revs[user_id]

    def _heard(self, channel: str, payload: bytes) -> None:
        if not payload:
            return
        user_id, what = msgspec.msgpack.decode(payload)
        self._revs[user_id] += 1
        for socket in list(self._sockets.get(user_id, ())):
            telling = asyncio.ensure_future(socket.news_of_user(self._revs[user_id], what))
            self._telling.add(telling)
            telling.add_done_callback(self._telling.discard)

    async def say_bye(self) -> None:
        """The process ends: every page is told to come back, within a second."""
        sockets = [socket for mine in self._sockets.values() for socket in mine]
        byes = [asyncio.ensure_future(socket.bye(protocol.CLOSE_RESTART, "restart")) for socket in sockets]
        if byes:
            await asyncio.wait(byes, timeout=1)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            sockets = [socket for mine in self._sockets.values() for socket in mine]
            if not sockets:
                continue
            now = time.monotonic()
            try:
                lost = await in_database(_without_rights, sockets)
            except DatabaseError:
                continue
            for socket in sockets:
                socket.rights_seen_at = now
            for socket in lost:
                socket.cut(protocol.CLOSE_RIGHTS, "signed_out")


async def may_stay(socket: ChatConsumer) -> bool:
    """By the check of all sockets, if it is not older than its turn; else by one of its own."""
    if time.monotonic() - socket.rights_seen_at < FRESH_SECONDS:
        return not socket.is_cut
    return not await in_database(_without_rights, [socket])


def _without_rights(sockets: list[ChatConsumer]) -> list[ChatConsumer]:
    """Those whose person is deactivated or changed, or whose session has ended."""
    users = dict(
        User.objects.filter(pk__in={socket.user.pk for socket in sockets}, is_active=True).values_list(
            "pk", "rights_epoch"
        )
    )
    keys = {socket.scope["session"].session_key for socket in sockets}
    open_keys = set(Session.objects.filter(pk__in=keys, expire_date__gt=Now()).values_list("session_key", flat=True))
    return [
        socket
        for socket in sockets
        if users.get(socket.user.pk) != socket.user.rights_epoch or socket.scope["session"].session_key not in open_keys
    ]


@functools.cache
def shared() -> Sessions:
    """This process's sockets."""
    return Sessions()
