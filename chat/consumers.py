"""The socket of one tab: frames in go to the rules, news out come from the followers, within credit."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from typing import Any, cast
from uuid import UUID

from channels.consumer import AsyncConsumer, get_handler_name
from channels.generic.websocket import AsyncWebsocketConsumer
from django.contrib.auth.models import AnonymousUser

from accounts.models import User
from chat import errors, generation, history, places, protocol, sessions
from chat.answer_log import Position
from chat.bells import Place
from chat.database import in_database
from chat.delivery import Delivery
from chat.generation import Ask, Submitted
from chat.models import Generation
from chat.protocol import frame

log = logging.getLogger(__name__)
RETRY_AFTER_SECONDS = 5


class ChatConsumer(AsyncWebsocketConsumer):
    """States: connected → hello within 5 s → open. Rights are read again at every frame and every second."""

    user: User
    delivery: Delivery | None = None
    is_open = False
    is_cut = False
    rights_seen_at = 0.0
    deadline: asyncio.TimerHandle | None = None
    farewell: asyncio.Task[None] | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Without Channels' visit to a database thread for every frame: ours close their connections themselves."""
        await getattr(self, get_handler_name(message))(message)

    async def connect(self) -> None:
        user = cast("User | AnonymousUser", self.scope["user"])
        if isinstance(user, AnonymousUser) or not user.is_authenticated:
            await self.accept()
            await self.bye(protocol.CLOSE_RIGHTS, "signed_out")
            return
        self.user = await in_database(User.objects.get, pk=user.pk)
        await self.accept()
        if not sessions.shared().join(self):
            await self.bye(protocol.CLOSE_SOCKETS, "too_many_sockets")
            return
        self.delivery = Delivery(self._send, self.cut)
        loop = asyncio.get_running_loop()
        self.deadline = loop.call_later(protocol.HELLO_DEADLINE_SECONDS, self.cut, protocol.CLOSE_FRAME, "no_hello")

    async def disconnect(self, code: int) -> None:
        sessions.shared().leave(self)
        if self.deadline is not None:
            self.deadline.cancel()
        if self.delivery is not None:
            await self.delivery.close()

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        if self.delivery is None:
            return
        try:
            wish = protocol.parse(text_data or "")
        except protocol.BadFrame as error:
            await self._error("bad_frame", id=error.id)
            return
        if isinstance(wish, protocol.Ack):
            self.delivery.acknowledge(wish.g, Position.parse(wish.s))
            return
        if not await sessions.may_stay(self):
            await self.bye(protocol.CLOSE_RIGHTS, "signed_out")
            return
        try:
            await self._answer(wish)
        except errors.WishRefused as error:
            told = {"retry_after": error.retry_after, "limit": error.limit, "quota": error.quota, "needs": error.needs}
            await self._error(error.code, id=getattr(wish, "id", None), **told)
        except Exception:  # answered, not cut: a page would come back at once with the same wish, for ever
            log.exception("%s failed", type(wish).__name__)
            await self._error("server_error", id=getattr(wish, "id", None), retry_after=RETRY_AFTER_SECONDS)

    async def _answer(self, wish: protocol.Wish) -> None:
        match wish:
            case protocol.Hello():
                await self._hello()
            case protocol.Ping(n):
                await self._send(frame("pong", n=n, now=_now(), rev=sessions.shared().rev(self.user.pk)))
            case _ if not self.is_open:
                await self._error("no_hello", id=wish.id)
            case protocol.Ask():
                made = await in_database(generation.submit, self.user, _ask(wish))
                await self._accepted(wish.id, wish.key, made)
            case protocol.Regenerate(id_, key, message, model):
                made = await in_database(generation.regenerate, self.user, message, key, model=model)
                await self._accepted(id_, key, made)
            case protocol.Continue(id_, key, message):
                made = await in_database(generation.go_on, self.user, message, key)
                await self._accepted(id_, key, made)
            case protocol.Watch():
                await self._watch(wish.generation, Position.parse(wish.after), wish.id)
            case protocol.Unwatch():
                self._delivery.unwatch(str(wish.generation))
            case protocol.Stop(id_, generation_id):
                await in_database(generation.stop, generation_id, by=self.user)
                await self._send(frame("done", id=id_))
            case protocol.AnswerNow(id_, generation_id):
                await in_database(generation.answer_now, generation_id, by=self.user)
                await self._send(frame("done", id=id_))

    @property
    def _delivery(self) -> Delivery:
        assert self.delivery is not None
        return self.delivery

    async def _hello(self) -> None:
        if self.deadline is not None:
            self.deadline.cancel()
        self.is_open = True
        live = await in_database(_live, self.user)
        limits = {"text": generation.TEXT_LIMIT, "watched": protocol.WATCHED_PER_SOCKET}
        rev = sessions.shared().rev(self.user.pk)
        user = str(self.user.public_id)
        await self._send(frame("hello", v=protocol.VERSION, user=user, rev=rev, now=_now(), limits=limits, live=live))

    async def _accepted(self, id_: str, key: UUID, made: Submitted) -> None:
        fields = {
            "conversation": made.conversation,
            "message": made.message,
            "answer": made.answer,
            "generation": made.generation,
            "replayed": made.replayed,
        }
        await self._send(frame("accepted", id=id_, key=key, **fields))

    async def _watch(self, generation_id: UUID, after: Position, id_: str) -> None:
        if self._delivery.is_full:
            await self._error("too_many_watched", id=id_, limit=protocol.WATCHED_PER_SOCKET)
            return
        row, place = await in_database(_find, self.user, generation_id)
        watch = self._delivery.watch(str(generation_id), after)
        await self._send(
            frame("watching", id=id_, generation=generation_id, g=watch.g, message=row.message_id, state=row.state)
        )
        if place is not None:
            watch.feed.place, watch.feed.is_in_gap = place, bool(row.text_from or row.thinking_from)
        self._delivery.start(watch)

    async def news_of_user(self, rev: int, what: str) -> None:
        if self.is_open:
            await self._send(frame("user", rev=rev, what=[what]))

    async def _error(self, code: str, **fields: Any) -> None:
        await self._send(frame("error", code=code, text=code, **fields))

    async def _send(self, text: str) -> None:
        await AsyncConsumer.send(self, {"type": "websocket.send", "text": text})

    def cut(self, code: int, text: str) -> None:
        self.is_cut = True
        self.farewell = asyncio.ensure_future(self.bye(code, text))

    async def bye(self, code: int, text: str) -> None:
        """Say why, then close. Nothing is delivered after it."""
        if self.delivery is not None:
            await self.delivery.close()
        # The peer may be gone already; then there is nobody to tell.
        with contextlib.suppress(RuntimeError):
            await self._send(frame("bye", code=code, text=text))
            await self.close(code=code)


def _ask(wish: protocol.Ask) -> Ask:
    options = {"effort": wish.effort} if wish.effort else {}
    return Ask(
        key=wish.key,
        text=wish.text,
        model=wish.model,
        think=wish.think,
        conversation=wish.conversation,
        options=options,
    )


def _find(user: User, generation_id: UUID) -> tuple[Generation, Place | None]:
    """The generation, and its place in the line while it waits."""
    try:
        row = history.generation_for(user, generation_id)
    except history.NotFound:
        raise errors.NotYours from None
    return row, places.place_of(row) if row.state == Generation.State.WAITING else None


def _live(user: User) -> list[dict[str, Any]]:
    rows = (
        Generation.objects.filter(user=user, state__in=Generation.LIVE, message__conversation__source="web")
        .select_related("message")
        .defer("message__text", "message__thinking")[: protocol.WATCHED_PER_SOCKET]
    )
    return [
        {
            "generation": row.pk,
            "conversation": row.message.conversation_id if row.message else None,
            "message": row.message_id,
            "state": row.state,
            "last": f"{row.attempt}-{row.last_seq}",
        }
        for row in rows
    ]


def _now() -> int:
    """Milliseconds since the epoch."""
    return time.time_ns() // 1_000_000
