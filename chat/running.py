"""A runner's work: claim a released generation, read the engine, log and checkpoint, settle. One per process."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import time
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.db.models.functions import Now

from chat import history, settlement
from chat.generation import CONTROL_BELL
from chat.loop_thread import in_database
from chat.models import Generation, Message
from chat.settlement import Outcome
from chat.stream_log import ANSWER, THINKING, Log, Writer
from live import doorbell
from live import redis as connections
from models_admin import fleet, secrets
from models_admin.backends import base, make_driver
from models_admin.models import Deployment

log = logging.getLogger(__name__)
State = Generation.State
CHECKPOINT_SECONDS = 1.0
SETTLE_TRIES = 20
ANSWER_LIMIT = 2_000_000  # characters of thinking and answer together
# Raw SQL: the ORM has no executemany for guarded updates, and one statement per answer took 795 ms instead of 45.
WRITE_TEXT = """
    UPDATE chat_message SET text = %s, thinking = %s WHERE id = %s AND EXISTS (
        SELECT 1 FROM chat_generation WHERE id = %s AND attempt = %s AND worker_id = %s AND state = 'running')
"""
WRITE_PROGRESS = """
    UPDATE chat_generation SET last_seq = %s, thinking_tokens = %s, answer_tokens = %s
    WHERE id = %s AND attempt = %s AND worker_id = %s AND state = 'running'
"""
KINDS = {"thinking": THINKING, "answer": ANSWER}


@dataclass(frozen=True)
class Work:
    """What a claim hands out."""

    generation_id: uuid.UUID
    attempt: int
    message_id: uuid.UUID
    endpoint: base.Endpoint
    request: base.ChatRequest
    tokens_per_second: int | None


@dataclass(eq=False)
class Live:
    """An answer in the making."""

    work: Work
    log: Log
    started: float = field(default_factory=time.monotonic)
    first_answer: float | None = None
    first_token: float | None = None
    characters: int = 0
    is_stopped: bool = False
    is_drained: bool = False
    is_lost: bool = False
    reader: asyncio.Task[None] | None = None
    finish: base.Finish | None = None
    error: base.BackendError | None = None

    def end(self, *, drained: bool = False, lost: bool = False) -> None:
        """End the reading: the engine's slot is freed by closing its connection."""
        self.is_drained |= drained
        self.is_lost |= lost
        self.is_stopped |= not (drained or lost)
        if self.reader is not None:
            self.reader.cancel()


def claim(generation_id: uuid.UUID, attempt: int, worker_id: int) -> Work | None:
    """Move released → running; None when somebody else has it, or it was stopped."""
    moved = Generation.objects.filter(pk=generation_id, attempt=attempt, state=State.RELEASED, wants_stop=False).update(
        state=State.RUNNING, worker_id=worker_id, started_at=Now()
    )
    if not moved:
        settlement.end_unstarted(generation_id, State.STOPPED, "stopped") if _is_unwanted(generation_id) else None
        return None
    row = Generation.objects.select_related(
        "deployment__engine", "deployment__artifact__model", "message__conversation"
    ).get(pk=generation_id)
    assert row.message is not None and row.deployment is not None
    deployment = row.deployment
    return Work(
        generation_id,
        attempt,
        row.message.pk,
        endpoint(deployment),
        _request(row, row.message, deployment),
        deployment.tokens_per_second,
    )


def endpoint(deployment: Deployment) -> base.Endpoint:
    engine = deployment.engine
    return base.Endpoint(engine.base_url, secrets.decrypt(engine.secret) if engine.secret else "", engine.kind)


def _is_unwanted(generation_id: uuid.UUID) -> bool:
    return Generation.objects.filter(pk=generation_id, state=State.RELEASED, wants_stop=True).exists()


def _request(row: Generation, answer: Message, deployment: Deployment) -> base.ChatRequest:
    """Earlier turns without their thinking, up to the question; an empty answer of a failed turn is left out."""
    path = history.path_to(answer.conversation, answer.parent_id)
    turns = tuple(base.ChatMessage(cast(base.Role, m.role), m.text) for m in path if m.text)
    options, model = row.options, deployment.artifact.model
    return base.ChatRequest(
        model=deployment.artifact.ref,
        messages=turns,
        max_tokens=options.get("max_tokens"),
        temperature=options.get("temperature", model.temperature),
        top_p=options.get("top_p", model.top_p),
        seed=options.get("seed"),
        stop=tuple(options.get("stop") or ()),
        think=options.get("think", "auto"),
    )


class Runner:
    """All answers of this process, on its loop."""

    def __init__(self, worker_id: int) -> None:
        self.worker_id = worker_id
        self.live: dict[uuid.UUID, Live] = {}
        self.is_draining = False
        self._drivers: dict[base.Endpoint, base.Driver] = {}
        self.writer = Writer(connections.commands(settings.REDIS_URL))

    def loops(self) -> list[asyncio.Task[None]]:
        coroutines = (
            self.writer.run(),
            self._beat(),
            self._checkpoints(),
            doorbell.listen([CONTROL_BELL], self._control),
        )
        return [asyncio.create_task(each) for each in coroutines]

    async def run(self, generation_id: uuid.UUID, attempt: int) -> None:
        """The whole life of one attempt here. Never raises for what an engine or Redis does."""
        if self.is_draining:
            return
        work = await in_database(claim, generation_id, attempt, self.worker_id)
        if work is None:
            return
        live = Live(work, Log(str(generation_id), attempt))
        self.live[generation_id] = live
        try:
            live.reader = asyncio.create_task(self._read(live))
            with contextlib.suppress(asyncio.CancelledError):
                await live.reader
            await self._finish(live)
        finally:
            self.live.pop(generation_id, None)

    async def _read(self, live: Live) -> None:
        stream = self._driver(live.work.endpoint).chat(live.work.request)
        try:
            async with contextlib.aclosing(stream):
                async for item in stream:
                    if isinstance(item, base.Finish):
                        live.finish = item
                    else:
                        await self._take(live, item)
        except base.BackendError as error:
            live.error = error

    def _driver(self, endpoint: base.Endpoint) -> base.Driver:
        """One client per engine for the life of this loop."""
        driver = self._drivers.get(endpoint)
        if driver is None:
            driver = self._drivers[endpoint] = make_driver(endpoint)
        return driver

    async def _take(self, live: Live, delta: base.Delta) -> None:
        now = time.monotonic()
        live.first_token = live.first_token or now
        if delta.kind == "answer":
            live.first_answer = live.first_answer or now
        live.characters += len(delta.text)
        if live.characters > ANSWER_LIMIT:
            raise base.BrokeOff("the answer is too long")
        for text, tokens in _paces(delta) if live.work.tokens_per_second else [(delta.text, delta.tokens)]:
            self.writer.add(live.log, KINDS[delta.kind], text, tokens)
            await self._keep_pace(live)

    async def _keep_pace(self, live: Live) -> None:
        pace = live.work.tokens_per_second
        if pace and live.first_token is not None:
            count = live.log.tokens(THINKING) + live.log.tokens(ANSWER)
            await asyncio.sleep(max(0.0, live.first_token + count / pace - time.monotonic()))

    async def _finish(self, live: Live) -> None:
        if live.is_lost:
            return
        outcome = outcome_of(live)
        is_mine = await self._settle(live, outcome)
        if not is_mine:
            log.warning("generation %s attempt %s was ended by somebody else", live.log.generation, live.log.attempt)
            return
        # Settled before sealed: a reader that sees the end must also see the final usage in the database.
        await self.writer.seal(live.log, "")
        await asyncio.to_thread(settlement.announce_end, live.work.generation_id)

    async def _settle(self, live: Live, outcome: Outcome) -> bool:
        """A database that is away for a moment loses nothing: the text is in memory, so try on."""
        for trial in range(SETTLE_TRIES):
            try:
                return await in_database(
                    settlement.settle, live.work.generation_id, live.work.attempt, self.worker_id, outcome
                )
            except DatabaseError as error:
                log.warning("settling %s failed (%s), again", live.log.generation, error)
                await asyncio.sleep(min(0.2 * 2**trial, 5))
        return False

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(fleet.HEARTBEAT_SECONDS)
            with contextlib.suppress(DatabaseError):
                if not await in_database(fleet.renew, self.worker_id):
                    await self._reregister()

    async def _reregister(self) -> None:
        """This process was silent for too long and was reaped: what it held belongs to nobody any more."""
        log.error("lease lost: %s answers dropped here", len(self.live))
        for live in list(self.live.values()):
            live.end(lost=True)
        name = f"runner-{uuid.uuid4().hex[:12]}"
        self.worker_id = (await in_database(fleet.register_worker, name)).pk

    async def _checkpoints(self) -> None:
        """Each second: the text of all answers at once, stop wishes that the doorbell lost, holes in Redis."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            running = list(self.live.values())
            if not running:
                continue
            with contextlib.suppress(DatabaseError):
                wanted = await in_database(checkpoint, self.worker_id, [_row(live) for live in running])
                for live in running:
                    if live.work.generation_id in wanted:
                        live.end()
            await self.writer.repair([live.log for live in running])

    def _control(self, channel: str, payload: bytes) -> None:
        if payload:
            live = self.live.get(uuid.UUID(payload.decode()))
            if live is not None:
                live.end()

    async def drain(self, seconds: float) -> None:
        """Claim nothing new, let what runs run on; what is left after `seconds` ends with its text kept."""
        self.is_draining = True
        with contextlib.suppress(DatabaseError):
            await in_database(fleet.drain, self.worker_id)
        until = time.monotonic() + seconds
        await self._all_ended(until)
        for live in list(self.live.values()):
            live.end(drained=True)
        await self._all_ended(until + 5)

    async def _all_ended(self, until: float) -> None:
        while self.live and time.monotonic() < until:  # noqa: ASYNC110 - a handful of looks at shutdown
            await asyncio.sleep(0.05)


def _paces(delta: base.Delta) -> list[tuple[str, int]]:
    """A delta of several tokens in about as many pieces, so that a paced stream does not come in lumps."""
    count = max(1, min(delta.tokens, len(delta.text)))
    cuts = [len(delta.text) * index // count for index in range(count + 1)]
    pieces = [(delta.text[start:end], 1) for start, end in itertools.pairwise(cuts)]
    return [*pieces[:-1], (pieces[-1][0], delta.tokens - count + 1)]


def outcome_of(live: Live) -> Outcome:
    """State, text and usage of an ended reading. The engine's own count wins where it gave one."""
    state, reason = _verdict(live)
    usage = live.finish.usage if live.finish else None
    thinking, text = live.log.text(THINKING), live.log.text(ANSWER)
    now = time.monotonic()
    first = live.first_token or now
    thought_until = live.first_answer or now
    return Outcome(
        state=state,
        reason=reason,
        thinking=thinking,
        text=text,
        last_seq=len(live.log.entries),
        finish=live.finish.reason if live.finish else "",
        prompt_tokens=usage.prompt_tokens if usage else 0,
        cached_tokens=usage.cached_tokens if usage else 0,
        thinking_tokens=usage.thinking_tokens if usage else live.log.tokens(THINKING),
        answer_tokens=usage.answer_tokens if usage else live.log.tokens(ANSWER),
        thinking_ms=int((thought_until - first) * 1000) if thinking else None,
        prefill_ms=int((first - live.started) * 1000),
        decode_ms=int((now - first) * 1000),
        has_token=live.first_token is not None,
    )


def _verdict(live: Live) -> tuple[str, str]:
    if live.finish is not None and live.error is None:
        return State.DONE, ""
    if live.error is not None:
        return State.FAILED, live.error.code
    if live.is_stopped:
        return State.STOPPED, "stopped"
    if live.is_drained:
        return State.FAILED, "site_stopping"
    return State.FAILED, "engine_broke_off"


@dataclass(frozen=True)
class Checkpoint:
    """The text of a running answer up to entry `last_seq`."""

    generation_id: uuid.UUID
    message_id: uuid.UUID
    attempt: int
    thinking: str
    text: str
    last_seq: int
    thinking_tokens: int
    answer_tokens: int
    has_token: bool


def _row(live: Live) -> Checkpoint:
    thinking, text = live.log.text(THINKING), live.log.text(ANSWER)
    return Checkpoint(
        live.work.generation_id,
        live.work.message_id,
        live.log.attempt,
        thinking,
        text,
        len(live.log.entries),
        live.log.tokens(THINKING),
        live.log.tokens(ANSWER),
        live.first_token is not None,
    )


def checkpoint(worker_id: int, rows: Iterable[Checkpoint]) -> set[uuid.UUID]:
    """Write all texts in one transaction, each guarded by attempt and worker; returns the ids that shall stop."""
    rows = list(rows)
    key = _database_uuid
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.executemany(
            WRITE_TEXT,
            [(r.text, r.thinking, key(r.message_id), key(r.generation_id), r.attempt, worker_id) for r in rows],
        )
        cursor.executemany(
            WRITE_PROGRESS,
            [
                (r.last_seq, r.thinking_tokens, r.answer_tokens, key(r.generation_id), r.attempt, worker_id)
                for r in rows
            ],
        )
    ids = [row.generation_id for row in rows]
    fresh = [row.generation_id for row in rows if row.has_token]
    Generation.objects.filter(pk__in=fresh, first_token_at__isnull=True, state=State.RUNNING).update(
        first_token_at=Now()
    )
    wanted = Generation.objects.filter(pk__in=ids, wants_stop=True, state=State.RUNNING)
    return set(wanted.values_list("pk", flat=True))


def _database_uuid(value: uuid.UUID) -> str:
    return str(value) if connection.features.has_native_uuid_field else value.hex
