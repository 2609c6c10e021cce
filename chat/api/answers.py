"""One answer as a script sees it: text as it comes, then the end. Leaving early stops the generation."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from accounts import tokens
from accounts.models import ApiToken, User
from chat import errors, followers, generation, history
from chat.answer_log import THINKING, Position
from chat.database import in_database
from chat.followers import End, Piece, Snapshot
from chat.generation import Submitted
from chat.models import Generation

KEEP_ALIVE_SECONDS = 15.0
RIGHTS_SECONDS = 2.0
# `asyncio` keeps only weak references to tasks.
_stopping: set[asyncio.Task[None]] = set()


class RightsLost(Exception):
    """The token was revoked or its user switched off while the answer was being written."""


class Restarted(Exception):
    """What was sent already is not how the answer goes on; a stream cannot take words back."""


@dataclass(frozen=True)
class Begun:
    """The wish is taken; from here on leaving stops it."""


@dataclass(frozen=True)
class Text:
    """More text of one channel."""

    thinking: str = ""
    answer: str = ""


@dataclass(frozen=True)
class Pause:
    """Nothing came for a while."""


@dataclass(frozen=True)
class Finished:
    """The end as stored. `finish` is the engine's word (stop, length); counts are tokens and ms."""

    state: str
    reason: str
    finish: str
    text: str
    thinking: str
    counts: dict[str, int | None]


News = Begun | Text | Pause | Finished


async def follow(user: User, token: ApiToken, submitted: Submitted) -> AsyncGenerator[News, None]:
    """Everything until the end. Raises `RightsLost`, `Restarted`; leaving early stops the generation."""
    has_ended = False
    try:
        yield Begun()
        async with aclosing(_texts(user, token, submitted)) as texts:
            async for text in texts:
                has_ended = isinstance(text, Finished)
                yield text
    finally:
        if not has_ended:
            _stop_soon(user, submitted.generation)


async def _texts(user: User, token: ApiToken, submitted: Submitted) -> AsyncGenerator[Text | Pause | Finished, None]:
    sent = _Sent()
    async with aclosing(_news(submitted.generation, token)) as stream:
        async for news in stream:
            if isinstance(news, End):
                end = await in_database(_finished, user, submitted, news)
                yield sent.missing_of(end.thinking, end.text)
                yield end
            elif isinstance(news, Pause):
                yield news
            else:
                yield sent.add(news)


async def finished(user: User, token: ApiToken, submitted: Submitted) -> Finished:
    """The end alone."""
    async with aclosing(follow(user, token, submitted)) as texts:
        async for text in texts:
            if isinstance(text, Finished):
                return text
    raise AssertionError("an answer ends with Finished")


class _Sent:
    """What went out, so that a snapshot can be turned into the words that are missing."""

    def __init__(self) -> None:
        self.thinking = ""
        self.answer = ""

    def add(self, news: Piece | Snapshot) -> Text:
        if isinstance(news, Snapshot):
            return self.missing_of(news.thinking, news.answer)
        if news.kind == THINKING:
            self.thinking += news.text
            return Text(thinking=news.text)
        self.answer += news.text
        return Text(answer=news.text)

    def missing_of(self, thinking: str, answer: str) -> Text:
        if not thinking.startswith(self.thinking) or not answer.startswith(self.answer):
            raise Restarted
        rest = Text(thinking[len(self.thinking) :], answer[len(self.answer) :])
        self.thinking, self.answer = thinking, answer
        return rest


async def _news(generation_id: UUID, token: ApiToken) -> AsyncGenerator[Piece | Snapshot | End | Pause, None]:
    shared, wake, place = followers.shared(), asyncio.Event(), Position()
    rights_at = told_at = time.monotonic()
    feed = shared.follow(str(generation_id), wake.set)
    try:
        while True:
            wake.clear()
            if time.monotonic() - rights_at >= RIGHTS_SECONDS:
                await _check_rights(token)
                rights_at = time.monotonic()
            news = await shared.read(feed, place)
            if news is not None:
                yield news
                if isinstance(news, End):
                    return
                place, told_at = news.end, time.monotonic()
            elif not await _is_woken(wake) and time.monotonic() - told_at >= KEEP_ALIVE_SECONDS:
                told_at = time.monotonic()
                yield Pause()
    finally:
        shared.unfollow(feed, wake.set)


async def _is_woken(wake: asyncio.Event) -> bool:
    try:
        await asyncio.wait_for(wake.wait(), RIGHTS_SECONDS)
    except TimeoutError:
        return False
    return True


async def _check_rights(token: ApiToken) -> None:
    if not await in_database(tokens.is_usable, token):
        raise RightsLost


def _finished(user: User, submitted: Submitted, end: End) -> Finished:
    try:
        message = history.answer_for(user, submitted.answer)
    except history.NotFound:  # put into the trash meanwhile
        return Finished(Generation.State.STOPPED, "stopped", "stop", "", "", end.settled.usage)
    settled = end.settled
    return Finished(settled.state, settled.reason, message.finish, message.text, message.thinking, settled.usage)


def _stop_soon(user: User, generation_id: UUID) -> None:
    # In a task of its own: the one that runs this is being cancelled.
    task = asyncio.get_running_loop().create_task(in_database(_stop, user, generation_id))
    _stopping.add(task)
    task.add_done_callback(_stopping.discard)


def _stop(user: User, generation_id: UUID) -> None:
    try:
        generation.stop(generation_id, by=user)
    except errors.NotYours:
        return
