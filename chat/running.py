"""A runner's work: claim a released generation, read the engine, log and checkpoint, settle. One per process."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid

from django.conf import settings
from django.db import DatabaseError

from chat import bells, carrying_on, reading, reaping, settlement
from chat.answer_log import Log
from chat.checkpointing import checkpoint, row_of
from chat.claiming import NotAllowed, Work, claim
from chat.database import in_database, on_lease_thread
from chat.live_answer import Live, outcome_of
from chat.models import Generation
from chat.outcome import Outcome
from chat.stream_log import Writer
from live import doorbell
from live import redis as connections
from models_admin.backends import base
from models_admin.backends.drivers import make_driver
from models_admin.engines import circuit, fleet
from models_admin.engines.secrets import SecretUnreadable
from models_admin.loads import probing

log = logging.getLogger(__name__)
CHECKPOINT_SECONDS = 1.0
SETTLE_TRIES = 20
PUT_BACK_SECONDS = 30.0
# Its fault, and no sign of a full queue.
ENGINE_FAILURES = {base.Unreachable.code, base.BrokeOff.code, base.BackendError.code}


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
            doorbell.listen([bells.CONTROL, bells.ANSWER_NOW], self._control),
        )
        return [asyncio.create_task(each) for each in coroutines]

    async def run(self, generation_id: uuid.UUID, attempt: int) -> None:
        """The whole life of one attempt here. Never raises for what an engine or Redis does."""
        if self.is_draining:
            return
        work = await self._claim(generation_id, attempt)
        if work is None:
            return
        live = Live(work, Log(str(generation_id), attempt, work.before))
        self.live[generation_id] = live
        self.writer.begin(live.log)
        try:
            driver = self._driver(live.work.endpoint)
            live.reader = asyncio.create_task(reading.read(live, driver, self.writer))
            with contextlib.suppress(asyncio.CancelledError):
                await live.reader
            await self._finish(live)
        finally:
            # What was put back may run here again already.
            if self.live.get(generation_id) is live:
                del self.live[generation_id]

    async def _claim(self, generation_id: uuid.UUID, attempt: int) -> Work | None:
        """What cannot be begun ends with its reason; where the database is away, the sweep sends it again."""
        try:
            return await in_database(claim, generation_id, attempt, self.worker_id)
        except DatabaseError as error:
            log.warning("generation %s not claimed, the sweep sends it again: %s", generation_id, error)
            return None
        except SecretUnreadable:
            log.error("generation %s: the key of its engine cannot be read", generation_id)
            reason = base.WrongKey.code
        except NotAllowed as error:
            reason = error.code
        except Exception:
            log.exception("generation %s cannot be begun", generation_id)
            reason = base.BackendError.code
        await in_database(settlement.end_unstarted, generation_id, Generation.State.FAILED, reason)
        return None

    def _driver(self, endpoint: base.Endpoint) -> base.Driver:
        """One client per engine for the life of this loop."""
        driver = self._drivers.get(endpoint)
        if driver is None:
            driver = self._drivers[endpoint] = make_driver(endpoint)
        return driver

    async def _finish(self, live: Live) -> None:
        if live.is_lost:
            return
        await self._note_outcome(live)
        if isinstance(live.error, base.Unreachable | base.BrokeOff | base.Overloaded | base.OutOfCredit):
            await self._hold_back(live.work, live.error)
        if isinstance(live.error, base.Unreachable | base.Overloaded) and await self._is_put_back(live):
            return
        outcome = outcome_of(live)
        if live.can_be_handed_on and await self._is_handed_on(live, outcome):
            await self.writer.let_go(live.log)
            return
        is_mine = await self._settle(live, outcome)
        if not is_mine:
            log.warning("generation %s attempt %s was ended by somebody else", live.log.generation, live.log.attempt)
            return
        # Settled before sealed: a reader that sees the end must also see the final usage in the database.
        await self.writer.seal(live.log, "")

    async def _note_outcome(self, live: Live) -> None:
        """Of the engine, not of the person: what he stopped or asked wrongly says nothing of it."""
        with contextlib.suppress(DatabaseError):
            if live.error is not None and live.error.code in ENGINE_FAILURES:
                await in_database(circuit.note_failure, live.work.deployment_id)
            elif live.finish is not None and live.work.has_failed:
                await in_database(circuit.note_success, live.work.deployment_id)

    async def _hold_back(self, work: Work, error: base.BackendError) -> None:
        """Nothing more for this engine until it is well: else all who wait for it would fail one after another.

        A full or used-up one says so; one that gave no answer is asked: a question that an engine stumbles over
        (HTTP 500) would else take it from everybody, again and again.
        """
        told = base.Health(False, error.code)
        if isinstance(error, base.Unreachable | base.BrokeOff):
            told = await probing.health(work.endpoint)
        if not told.is_ready:
            with contextlib.suppress(DatabaseError):
                await in_database(probing.note_health, work.engine_id, told)

    async def _is_put_back(self, live: Live) -> bool:
        """An engine that restarts costs nobody his question; one that took it and said nothing for long does."""
        if live.first_token is not None or time.monotonic() - live.started > PUT_BACK_SECONDS:
            return False
        with contextlib.suppress(DatabaseError):
            return await in_database(settlement.put_back, live.work.generation_id, live.work.attempt, self.worker_id)
        return False

    async def _is_handed_on(self, live: Live, outcome: Outcome) -> bool:
        """Somebody goes on behind what there is. A database that is away has it ended later, with its text."""
        with contextlib.suppress(DatabaseError):
            work = live.work
            return await in_database(carrying_on.hand_on, work.generation_id, work.attempt, self.worker_id, outcome)
        return False

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
                if not await on_lease_thread(fleet.renew, self.worker_id):
                    await self._reregister()
                await in_database(reaping.end_forgotten, self.worker_id, list(self.live))

    async def _reregister(self) -> None:
        """This process was silent for too long and was reaped: what it held belongs to nobody any more."""
        log.error("lease lost: %s answers dropped here", len(self.live))
        for live in list(self.live.values()):
            live.end(lost=True)
        name = f"runner-{uuid.uuid4().hex[:12]}"
        self.worker_id = (await on_lease_thread(fleet.register_worker, name)).pk

    async def _checkpoints(self) -> None:
        """Each second: the text of all answers at once, wishes that the doorbell lost, holes in Redis."""
        while True:
            await asyncio.sleep(CHECKPOINT_SECONDS)
            running = list(self.live.values())
            if not running:
                continue
            with contextlib.suppress(DatabaseError):
                wanted = await in_database(checkpoint, self.worker_id, [row_of(live) for live in running])
                for live in running:
                    live.wants_answer |= live.work.generation_id in wanted.answer
                    if live.work.generation_id in wanted.stop:
                        live.end()
            await self.writer.repair([live.log for live in running])

    def _control(self, channel: str, payload: bytes) -> None:
        live = self.live.get(uuid.UUID(payload.decode())) if payload else None
        if live is None:
            return
        if channel == bells.ANSWER_NOW:
            live.wants_answer = True
        else:
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
