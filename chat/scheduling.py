"""Around the line: one leader in all runners releases waiting generations when a slot of their model is free.

Every decision is a guarded move in the database, so two leaders at worst waste a statement. The leader reads what waits
afresh at each turn; it has nothing to lose when it dies.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import uuid
from datetime import timedelta

import msgspec
from django.conf import settings
from django.db import DatabaseError, IntegrityError, transaction
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils import timezone
from redis.exceptions import RedisError

from accounts import quota
from chat import queue, settlement, stream_log
from chat.generation import LINE_BELL, LIVE_BELL
from chat.line import Entry, Line
from chat.loop_thread import in_database
from chat.models import Conversation, Generation, Message
from chat.models import Line as LineRow
from live import doorbell
from live import redis as connections
from models_admin import fleet
from models_admin.models import Deployment, Worker

log = logging.getLogger(__name__)
State = Generation.State
LEASE_SECONDS = 5
RENEW_SECONDS = 1.5
POLL_SECONDS = 1.0
SWEEP_SECONDS = 3.0
VIEW_SECONDS = 0.5
RESEND_AFTER_SECONDS = 5
PURGE_API_AFTER = timedelta(minutes=10)
PURGE_TRASH_AFTER = timedelta(days=30)
assert LEASE_SECONDS >= 3 * RENEW_SECONDS


class Leader:
    """Tries to lead, and leads while it holds the lease."""

    def __init__(self) -> None:
        self.id = uuid.uuid4()
        self.is_leading = False
        self.is_draining = False
        self._rung = asyncio.Event()
        self._shown: dict[str, int] = {}

    def loops(self) -> list[asyncio.Task[None]]:
        coroutines = (
            self._lease(),
            self._lead(),
            self._show(),
            self._sweep(),
            doorbell.listen([LINE_BELL], self._heard),
        )
        return [asyncio.create_task(each) for each in coroutines]

    def _heard(self, channel: str, payload: bytes) -> None:
        self._rung.set()

    async def _lease(self) -> None:
        while True:
            try:
                self.is_leading = not self.is_draining and await in_database(hold_lease, self.id)
            except DatabaseError as error:
                self.is_leading = False
                log.warning("leader lease not renewed: %s", error)
            if self.is_leading:
                self._rung.set()
            await asyncio.sleep(RENEW_SECONDS)

    async def _lead(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._rung.wait(), POLL_SECONDS)
            self._rung.clear()
            if self.is_leading:
                try:
                    await in_database(release_what_can_run)
                except DatabaseError as error:
                    log.warning("nothing released: %s", error)

    async def _show(self) -> None:
        """Tell who waits how many are ahead, when it changed, at most twice a second."""
        while True:
            await asyncio.sleep(VIEW_SECONDS)
            if not self.is_leading:
                self._shown = {}
                continue
            with contextlib.suppress(DatabaseError):
                ahead = (await in_database(read_line)).ahead_of()
                news = [[key, 0, 0, 0, "w", "", n] for key, n in ahead.items() if self._shown.get(key) != n]
                self._shown = ahead
                if news:
                    await asyncio.to_thread(doorbell.ring, LIVE_BELL, msgspec.msgpack.encode(news))

    async def _sweep(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            if self.is_leading:
                try:
                    await in_database(sweep)
                except DatabaseError as error:
                    log.warning("sweep failed: %s", error)


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


def read_line() -> Line:
    """The line as the database has it: what holds a slot, then what waits, oldest first."""
    line = Line(running_per_flow=settings.RUNNING_PER_USER)
    columns = ("pk", "user_id", "model_key")
    for key, flow, model in Generation.objects.filter(state__in=[State.RELEASED, State.RUNNING]).values_list(*columns):
        line.hold(Entry(str(key), flow, model))
    waiting = Generation.objects.filter(state=State.WAITING).order_by("created_at", "id")
    for key, flow, model in waiting.values_list(*columns):
        line.enqueue(Entry(str(key), flow, model))
    return line


def ahead_of(generation_id: uuid.UUID) -> int:
    """How many wait before it now."""
    return read_line().ahead_of().get(str(generation_id), 0)


def release_what_can_run() -> int:
    """Fill free slots from the line; returns how many were released."""
    line = read_line()
    released = 0
    in_use = fleet.slots_in_use()
    for model in line.models:
        for deployment in fleet.warm_deployments(model):
            while in_use.get(deployment.pk, 0) < deployment.slots:
                entry = line.pick(model)
                if entry is None:
                    break
                in_use[deployment.pk] = in_use.get(deployment.pk, 0) + 1
                if release(uuid.UUID(entry.key), deployment):
                    released += 1
                    line.take(entry.key)
                else:
                    line.withdraw(entry.key)
    return released


def release(generation_id: uuid.UUID, deployment: Deployment) -> bool:
    """waiting → released with a slot lease, in one transaction; False if it was stopped or somebody was faster."""
    try:
        with transaction.atomic():
            moved = Generation.objects.filter(pk=generation_id, state=State.WAITING).update(
                state=State.RELEASED, attempt=F("attempt") + 1, deployment=deployment, released_at=Now(), worker=None
            )
            if not moved or not fleet.take_slot(deployment, generation_id):
                transaction.set_rollback(True)
                return False
            attempt = Generation.objects.values_list("attempt", flat=True).get(pk=generation_id)
            queue.run_generation(generation_id, attempt)
    except IntegrityError:
        return False
    return True


def sweep() -> None:
    """What nobody else will do: reap the dead, send again what was not claimed, release what expired, purge."""
    reap(fleet.silent_workers())
    late = Generation.objects.filter(
        state=State.RELEASED, released_at__lt=Now() - timedelta(seconds=RESEND_AFTER_SECONDS)
    )
    for generation_id, attempt in late.values_list("pk", "attempt"):
        queue.run_generation(generation_id, attempt)
    for generation_id in Generation.objects.filter(state=State.WAITING, wants_stop=True).values_list("pk", flat=True):
        settlement.end_unstarted(generation_id, State.STOPPED, "stopped")
    quota.release_expired(timezone.now())
    purge()


def reap(worker_ids: list[int]) -> None:
    """End what silent runners held, with the text that the log or the checkpoint kept; nothing runs twice."""
    rows = Generation.objects.filter(worker_id__in=worker_ids, state=State.RUNNING).select_related("message")
    for row in rows:
        outcome = _last_words(row)
        if row.worker_id and settlement.settle(row.pk, row.attempt, row.worker_id, outcome):
            settlement.announce_end(row.pk)
            _fence(row)
    Worker.objects.filter(pk__in=worker_ids, seen_at__lt=Now() - timedelta(seconds=fleet.REAP_AFTER_SECONDS)).delete()


def _last_words(row: Generation) -> settlement.Outcome:
    message = row.message
    thinking, text = (message.thinking, message.text) if message else ("", "")
    last_seq = row.last_seq
    try:
        kept = stream_log.whole(connections.blocking(settings.REDIS_URL), str(row.pk), row.attempt)
    except RedisError:
        kept = None
    if kept and len(kept[stream_log.THINKING]) + len(kept[stream_log.ANSWER]) >= len(thinking) + len(text):
        thinking, text = kept[stream_log.THINKING], kept[stream_log.ANSWER]
        last_seq = int(kept["tokens"])
    return settlement.Outcome(
        state=State.FAILED,
        reason="runner_lost",
        thinking=thinking,
        text=text,
        last_seq=last_seq,
        thinking_tokens=row.thinking_tokens,
        answer_tokens=row.answer_tokens,
    )


def _fence(row: Generation) -> None:
    """A runner that was only paused must not write on: a higher id makes Redis itself refuse it."""
    with contextlib.suppress(RedisError):
        client = connections.blocking(settings.REDIS_URL)
        fields = {"k": stream_log.SEAL, "d": "", "c": 0}
        client.xadd(stream_log.key(str(row.pk)), fields, id=f"{row.attempt + 1}-0")  # type: ignore[arg-type]
        client.expire(stream_log.key(str(row.pk)), stream_log.SEALED_TTL_SECONDS)


def purge() -> None:
    """Scripts' calls that nobody keeps, and the trash."""
    old_calls = Conversation.objects.filter(
        source=Conversation.Source.API, last_activity_at__lt=Now() - PURGE_API_AFTER
    ).exclude(messages__generations__state__in=Generation.LIVE)
    kept = Message.objects.filter(generations__token__keeps_conversations=True).values("conversation")
    old_calls.exclude(pk__in=kept).delete()
    Conversation.objects.filter(deleted_at__lt=Now() - PURGE_TRASH_AFTER).delete()
