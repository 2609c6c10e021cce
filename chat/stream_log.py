"""The log of an answer in Redis: one stream per generation, entry ids `attempt-n`.

Redis itself refuses an id that is not higher than the last: a zombie's late write and a repeated one both fail,
which is fencing and exactly-once without a script. `attempt-0` marks the beginning of an attempt.
The runner keeps a live answer whole in memory and adds what Redis lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

from redis.asyncio import Redis

from chat import bells
from chat.answer_log import ANSWER, BEGIN, GAP, PREFILL, SEAL, THINKING, Entry, Log, Position, Written
from live.redis import RedisError, ResponseError

log = logging.getLogger(__name__)

MERGE_SECONDS = 0.015
MERGE_SECONDS_PER_LOG, MERGE_SECONDS_AT_MOST = 0.001, 0.05
RETRY_SECONDS = 0.3
LIVE_TTL_SECONDS = 24 * 3600
SEALED_TTL_SECONDS = 600
READ_COUNT = 16


def key(generation: str) -> str:
    return f"r1:g:{generation}"


class Writer:
    """Flushes all logs of a runner together: the first token at once, then every 15 ms, with many logs every 50 ms.

    20 pieces a second still read as a flow, and each piece costs the same however long it is.
    """

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._dirty: dict[Log, None] = {}
        self._wake = asyncio.Event()
        self._hurry = asyncio.Event()
        self._turn = asyncio.Event()
        self._pause = MERGE_SECONDS

    def begin(self, log_: Log) -> None:
        """Tell the followers that an engine has the question."""
        self._dirty[log_] = None
        self._hurry.set()
        self._wake.set()

    def add(self, log_: Log, kind: str, text: str, tokens: int) -> None:
        if log_.is_empty:
            self._hurry.set()
        log_.add(kind, text, tokens)
        self._dirty[log_] = None
        self._wake.set()

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            self._hurry.clear()
            self._pause = min(MERGE_SECONDS_AT_MOST, max(MERGE_SECONDS, len(self._dirty) * MERGE_SECONDS_PER_LOG))
            is_written = await self.flush()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._hurry.wait(), self._pause if is_written else RETRY_SECONDS)
            turn, self._turn = self._turn, asyncio.Event()
            turn.set()
            if self._dirty:
                self._wake.set()

    async def keep_step(self) -> None:
        """With many logs: wait until what was added is written. Reading on would cost as much for each token alone.

        Not longer than two turns: a Redis that hangs must not hold up the reading, whose text the runner keeps.
        """
        if self._pause > MERGE_SECONDS:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._turn.wait(), 2 * MERGE_SECONDS_AT_MOST)

    async def flush(self) -> bool:
        """Write what waits; False when Redis did not take it (it stays and is tried again)."""
        batch = list(self._dirty)
        self._dirty.clear()
        try:
            for log_ in batch:
                if log_.is_suspect:
                    await self._find_place(log_)
            await self._write([log_ for log_ in batch if not log_.is_fenced])
        except (RedisError, OSError) as error:
            log.warning("log not written, will be: %s", error)
            for log_ in batch:
                log_.is_suspect = True
                self._dirty[log_] = None
            return False
        return True

    async def seal(self, log_: Log, payload: str) -> None:
        """The last entry: call it only after the database has the end. Tries once; readers poll the database too."""
        self._dirty.pop(log_, None)
        log_.close_entry()
        log_.entries.append(Entry(len(log_.entries) + 1, SEAL, payload, 0))
        self._dirty[log_] = None
        await self.flush()
        self._dirty.pop(log_, None)

    async def tell_stage(self, log_: Log, stage: str) -> None:
        """To those who follow it now; it stands in no log. Not told again where Redis does not take it."""
        with contextlib.suppress(RedisError, OSError):
            await self._redis.publish(*bells.stage(log_.generation, log_.attempt, stage))

    async def let_go(self, log_: Log) -> None:
        """Nothing more comes in this attempt; another one goes on behind its text."""
        await self.flush()
        self._dirty.pop(log_, None)
        await self.tell_stage(log_, GAP)

    async def repair(self, logs: list[Log]) -> None:
        """Write a log again whose stream is shorter than it should be (Redis was flushed or lost a second)."""
        with contextlib.suppress(RedisError, OSError):
            async with self._redis.pipeline(transaction=False) as pipe:
                for log_ in logs:
                    pipe.xlen(key(log_.generation))
                expected = [(log_, log_.written + 1) for log_ in logs]
                lengths = await pipe.execute()
            for (log_, length), found in zip(expected, lengths, strict=True):
                if log_.has_begun and found < length and not log_.is_fenced:
                    await self._rewrite(log_)

    async def _rewrite(self, log_: Log) -> None:
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.delete(key(log_.generation))
            self._queue_begin(pipe, log_)
            for entry in log_.entries[: log_.written]:
                self._queue_entry(pipe, log_, entry)
            await pipe.execute()

    async def _find_place(self, log_: Log) -> None:
        last: Any = await self._redis.xrevrange(key(log_.generation), count=1)
        place = _position(last[0][0]) if last else Position()
        log_.is_fenced = place.attempt > log_.attempt
        if place.attempt == log_.attempt:
            log_.has_begun, log_.written = True, min(place.n, len(log_.entries))
        elif not log_.is_fenced:
            log_.has_begun, log_.written = False, 0
        log_.is_suspect = False

    async def _write(self, batch: list[Log]) -> None:
        if not batch:
            return
        news: list[list[object]] = []
        sent: list[tuple[Log, int, int]] = []
        pipe = self._redis.pipeline(transaction=False)
        for log_ in batch:
            log_.close_entry()
            commands = 0
            if not log_.has_begun:
                commands = self._queue_begin(pipe, log_)
                news.append([log_.generation, log_.attempt, 0, 0, bells.STAGE, PREFILL, 0])
            for entry in log_.unwritten:
                commands += self._queue_entry(pipe, log_, entry)
                news.append([log_.generation, log_.attempt, entry.n - 1, entry.n, entry.kind, entry.text, entry.tokens])
            sent.append((log_, commands, len(log_.entries)))
        pipe.publish(*bells.live(news))
        results = await pipe.execute(raise_on_error=False)
        self._judge(sent, results)

    def _judge(self, sent: list[tuple[Log, int, int]], results: list[object]) -> None:
        """'Already there or fenced' sends the log to find its place again; other errors fail the flush."""
        at = 0
        for log_, commands, upto in sent:
            mine = results[at : at + commands]
            at += commands
            failed = [result for result in mine if isinstance(result, Exception)]
            if not failed:
                log_.has_begun, log_.written = True, upto
            elif all(isinstance(error, ResponseError) and "equal or smaller" in str(error) for error in failed):
                log_.is_suspect = True
                self._dirty[log_] = None
            else:
                raise RedisError(str(failed[0]))

    def _queue_begin(self, pipe: Redis, log_: Log) -> int:
        fields = {"k": BEGIN, "d": log_.begins_with, "c": 0}
        pipe.xadd(key(log_.generation), fields, id=f"{log_.attempt}-0")  # type: ignore[arg-type]
        pipe.expire(key(log_.generation), LIVE_TTL_SECONDS)
        return 2

    def _queue_entry(self, pipe: Redis, log_: Log, entry: Entry) -> int:
        fields = {"k": entry.kind, "d": entry.text, "c": entry.tokens}
        pipe.xadd(key(log_.generation), fields, id=f"{log_.attempt}-{entry.n}")  # type: ignore[arg-type]
        if entry.kind != SEAL:
            return 1
        pipe.expire(key(log_.generation), SEALED_TTL_SECONDS)
        return 2


def _position(raw_id: Any) -> Position:
    return Position.parse(raw_id.decode())


async def read_after(redis: Redis, generation: str, after: Position) -> list[tuple[int, Entry]]:
    """Up to 64 entries behind `after` as (attempt, entry), `begin` marks included. Raises RedisError."""
    rows: Any = await redis.xrange(key(generation), min=f"({after}" if after.attempt else "-", count=READ_COUNT)
    found = []
    for raw_id, fields in rows:
        place = _position(raw_id)
        entry = Entry(place.n, fields[b"k"].decode(), fields[b"d"].decode(), int(fields[b"c"]))
        found.append((place.attempt, entry))
    return found


def whole(redis: Any, generation: str, attempt: int) -> tuple[Written, int] | None:
    """What one attempt added, for whoever ends it in place of a dead runner, and its last number; None if the log is
    not whole. Tokens count earlier attempts in.

    `redis` is a blocking client.
    """
    rows: Any = redis.xrange(key(generation), min=f"{attempt}-0", max=f"{attempt}-18446744073709551615")
    if not rows or rows[0][1][b"k"] != BEGIN.encode():
        return None
    text, tokens = {THINKING: "", ANSWER: ""}, {THINKING: 0, ANSWER: 0}
    for _raw_id, fields in rows[1:]:
        kind = fields[b"k"].decode()
        if kind in text:
            text[kind] += fields[b"d"].decode()
            tokens[kind] = int(fields[b"c"])
    return Written(text[THINKING], text[ANSWER], tokens[THINKING], tokens[ANSWER]), len(rows) - 1
