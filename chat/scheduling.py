"""Around the line: one leader in all runners releases waiting generations when a slot of their model is free.

Every decision is a guarded move in the database, so two leaders at worst waste a statement. The leader keeps the line
in memory and saves its tags every few seconds; when it dies, the next one goes on from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
import uuid
from datetime import timedelta

from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone

from accounts import quota, rollup
from chat import (
    bells,
    cold_wishes,
    errors,
    making_way,
    places,
    placing,
    queue,
    ready_wishes,
    reaping,
    settlement,
    stranded,
    titling,
)
from chat.database import in_database, on_lease_thread
from chat.line import Line
from chat.line_memory import LineMemory
from chat.models import Generation, Segment
from chat.models import Line as LineRow
from chat.purging import purge
from live import doorbell
from models_admin.engines import fleet, rates
from models_admin.family import prices
from models_admin.loads import probing, warm_sweep
from models_admin.models import Deployment
from models_admin.pulls import deleting, pulling

log = logging.getLogger(__name__)
State = Generation.State
LEASE_SECONDS = 4
RENEW_SECONDS = 1.0  # with the lease: after a leader's death nothing is released for 5 s at most
POLL_SECONDS = 1.0
SWEEP_SECONDS = 3.0
VIEW_SECONDS = 0.5
FOLLOWING_SECONDS = 0.2
RESEND_AFTER_SECONDS = 5
PURGE_SECONDS = 60.0
SAVE_SECONDS = 5.0
assert LEASE_SECONDS >= 3 * RENEW_SECONDS


class Leader:
    """Tries to lead, and leads while it holds the lease."""

    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.is_leading = False
        self.is_draining = False
        self._rung = asyncio.Event()
        self._shown: dict[str, bells.Place] = {}
        self._memory = LineMemory()
        self._prober = probing.Prober(in_database)

    def loops(self) -> list[asyncio.Task[None]]:
        coroutines = (
            self._lease(),
            self._lead(),
            self._show(),
            self._save(),
            self._sweep(),
            self._probe(),
            doorbell.listen([bells.LINE], self._heard),
        )
        return [asyncio.create_task(each) for each in coroutines]

    def _heard(self, channel: str, payload: bytes) -> None:
        self._rung.set()

    async def _lease(self) -> None:
        while True:
            try:
                self.is_leading = not self.is_draining and await on_lease_thread(hold_lease, self.id)
            except DatabaseError as error:
                self.is_leading = False
                log.warning("leader lease not renewed: %s", error)
            if self.is_leading:
                self._rung.set()
            else:
                self._memory.forget()
            await asyncio.sleep(RENEW_SECONDS)

    async def _lead(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), POLL_SECONDS)
            self._rung.clear()
            if self.is_leading:
                try:
                    await in_database(release_what_can_run, self._memory)
                except DatabaseError as error:
                    log.warning("nothing released: %s", error)
                except Exception:  # a loop that ends here would end the line of the whole site
                    log.exception("nothing released")

    async def _show(self) -> None:
        """Tell who waits how many are ahead, until when and why, when it changed, at most twice a second."""
        written_at = 0.0
        while True:
            await asyncio.sleep(VIEW_SECONDS)
            if not self.is_leading:
                self._shown = {}
                continue
            is_due = time.monotonic() - written_at > SAVE_SECONDS
            try:
                await self._tell(is_whole=is_due)
            except DatabaseError as error:
                log.warning("nobody told of his place: %s", error)
            except Exception:  # as in `_lead`
                log.exception("nobody told of his place")
            written_at = time.monotonic() if is_due else written_at

    async def _tell(self, *, is_whole: bool) -> None:
        now = await in_database(places_and_newcomers, self._memory)
        news = await asyncio.to_thread(places.tell, self._shown, now, is_whole=is_whole)
        self._shown = {key: news.get(key) or self._shown[key] for key in now}
        told = {key: place for key, place in news.items() if not key.startswith(places.NEWCOMER)}
        if told:
            await asyncio.to_thread(doorbell.ring, bells.places(told))
            await in_database(places.keep_first_told, told)

    async def _save(self) -> None:
        while True:
            await asyncio.sleep(SAVE_SECONDS)
            if self.is_leading:
                with contextlib.suppress(DatabaseError):
                    await in_database(self._memory.save, self.id)

    async def _sweep(self) -> None:
        """After a gap of our own (suspended, no database) others look silent who are not: then nobody is reaped."""
        swept_at = purged_at = 0.0
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if not self.is_leading:
                continue
            try:
                await in_database(fleet.can_write)
                await in_database(sweep, may_reap=time.monotonic() - swept_at < 2 * SWEEP_SECONDS)
                swept_at = time.monotonic()
                if swept_at - purged_at > PURGE_SECONDS:
                    await in_database(purge)
                    purged_at = swept_at
            except DatabaseError as error:
                log.warning("sweep failed: %s", error)
            except Exception:  # what one part of it stumbles over must not end the loop
                log.exception("sweep failed")

    async def _probe(self) -> None:
        """Ask the engines whether they are well, from the first moment of leading: only a warm deployment gets work."""
        while True:
            if self.is_leading:
                try:
                    await self._prober.probe(seconds=probing.PATIENCE_SECONDS)
                except DatabaseError as error:
                    log.warning("engines not probed: %s", error)
                except Exception:  # as above
                    log.exception("engines not probed")
                self._rung.set()
            await asyncio.sleep(probing.PROBE_SECONDS if self.is_leading else FOLLOWING_SECONDS)


def places_and_newcomers(memory: LineMemory) -> dict[str, bells.Place]:
    """What the board shows; nothing where nobody waits."""
    line, held_back = memory.copy(), memory.held_back
    if not len(line):
        return {}
    # Newcomers last: they use the copy up.
    return {**places.places_of(line, held_back), **places.newcomers(line, held_back)}


def hold_lease(leader: uuid.UUID) -> bool:
    """Take or renew the lease by the database's clock; True while it is ours."""
    LineRow.objects.get_or_create(name="site")
    until = Now() + timedelta(seconds=LEASE_SECONDS)
    if LineRow.objects.filter(name="site", leader=leader).update(until=until):
        return True
    is_free = Q(until__isnull=True) | Q(until__lt=Now())
    return LineRow.objects.filter(is_free, name="site").update(leader=leader, until=until, term=F("term") + 1) == 1


def give_up_lease(leader: uuid.UUID) -> None:
    LineRow.objects.filter(name="site", leader=leader).update(leader=None, until=None)


def release_what_can_run(memory: LineMemory | None = None) -> int:
    """Fill free slots from the line; returns how many were released."""
    memory = memory or LineMemory()
    with memory.turn() as line:
        if not len(line):
            return 0
        warm = {model: rows for model in line.models if (rows := fleet.warm_deployments(model))}
        line.serve(warm)
        cold = cold_wishes.admitted(line, [model for model in line.models if model not in warm])
        memory.held_back = making_way.load_what_may(line, cold)
        in_use = fleet.slots_in_use()
        return sum(_release_of(line, model, rows, in_use, memory.held_back) for model, rows in warm.items())


def _release_of(
    line: Line, model: str, warm: list[Deployment], in_use: dict[int, int], held_back: frozenset[int]
) -> int:
    deployments = {row.pk: row for row in warm if row.pk not in held_back}
    choice = placing.choose(line, model, placing.replicas(list(deployments.values()), in_use))
    for key in choice.forbidden:
        settlement.end_unstarted(key, State.FAILED, _why_nowhere(key))
        line.finish(str(key), 0)
    return sum(release(keys, deployments[each], line) for each, keys in choice.chosen.items())


def _why_nowhere(key: uuid.UUID) -> str:
    """What broke it off, where nothing can go on with its text; else why it may not go to a cloud."""
    if broken := Segment.objects.filter(generation=key).order_by("-attempt").first():
        return broken.finish
    is_locked = Generation.objects.filter(pk=key, message__conversation__is_local_only=True).exists()
    return errors.LocalOnly.code if is_locked else errors.CloudNotAllowed.code


def release(chosen: list[uuid.UUID], deployment: Deployment, line: Line) -> int:
    """waiting → released with a slot lease each, in one transaction; how many were still waiting.

    None where another leader took a slot meanwhile: they keep their places. What it costs is fixed now.
    """
    rate, price = rates.of(deployment), prices.of(deployment, timezone.now())
    try:
        with transaction.atomic():
            waiting = Generation.objects.select_for_update().filter(pk__in=chosen, state=State.WAITING).order_by("pk")
            attempts = {pk: attempt + 1 for pk, attempt in waiting.values_list("pk", "attempt")}
            Generation.objects.filter(pk__in=attempts).update(
                state=State.RELEASED,
                attempt=F("attempt") + 1,
                last_seq=0,
                deployment=deployment,
                released_at=Now(),
                worker=None,
                prefill_us=rate.prefill_us,
                decode_us=rate.decode_us,
                price_row=price,
            )
            fleet.take_slots(deployment, list(attempts))
            for generation_id, attempt in attempts.items():
                queue.run_generation(generation_id, attempt)
    except (IntegrityError, fleet.NoSlotFree):
        for key in chosen:
            line.give_back(str(key))
        return 0
    for key in chosen:
        if key not in attempts:  # stopped meanwhile
            line.finish(str(key), 0)
    return len(attempts)


def sweep(*, may_reap: bool) -> None:
    """What nobody else will do: reap the dead, send again what was not claimed, free what is held by nothing."""
    if may_reap:
        reaping.reap()
        stranded.sweep()
    late = Generation.objects.filter(
        state=State.RELEASED, released_at__lt=Now() - timedelta(seconds=RESEND_AFTER_SECONDS)
    )
    for generation_id, attempt in late.values_list("pk", "attempt"):
        queue.run_generation(generation_id, attempt)
    for generation_id in Generation.objects.filter(state=State.WAITING, wants_stop=True).values_list("pk", flat=True):
        settlement.end_unstarted(generation_id, State.STOPPED, "stopped")
    fleet.keep_slots_of(Generation.objects.filter(state__in=[State.RELEASED, State.RUNNING]).values("pk"))
    quota.release_expired(timezone.now())
    pulling.sweep()
    deleting.sweep()
    warm_sweep.sweep(may_give_up=may_reap)
    ready_wishes.tell_ready()
    titling.sweep()
    rollup.sweep()
