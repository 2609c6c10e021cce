"""A runner's part of a load: tell the engine to load where it takes orders, ask for the first token, tell how it went.

One work per attempt: whoever finds that his attempt is not the row's any more stops without a word.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from models_admin.backends.base import BackendError, BrokeOff, Driver, Endpoint, Loads
from models_admin.backends.drivers import open_driver
from models_admin.engines.secrets import SecretUnreadable
from models_admin.loads import measuring, warm_notes, warming
from models_admin.loads.probing import endpoint_of, health
from models_admin.loads.warm_notes import Speed
from models_admin.models import Deployment, RateCard

log = logging.getLogger(__name__)
BEAT_SECONDS = 3.0
# A server that is ready has no reason left to be slower with a few tokens: one that hangs is found out by it.
SMOKE_SECONDS = 120.0
MEASURE_SECONDS = 900.0
FOR_EVER = -1
InDatabase = Callable[..., Awaitable[Any]]


@dataclass(frozen=True)
class Job:
    """What is to be worked on."""

    deployment: int
    attempt: int
    endpoint: Endpoint
    model: str
    context_tokens: int
    slots: int


async def warm_up(deployment: int, attempt: int, in_database: InDatabase) -> None:
    """STARTING → WARM, or FAILED with a reason."""
    job = await in_database(_job, deployment, attempt, Deployment.State.STARTING)
    if job is None:
        return
    try:
        async with _beating(job, in_database), open_driver(job.endpoint) as driver:
            await _load(driver, job)
            await in_database(warm_notes.note_stage, deployment, attempt, warming.CHECKING)
            async with asyncio.timeout(SMOKE_SECONDS):
                found = await measuring.smoke(driver, job.model, context_tokens=job.context_tokens)
    except (BackendError, TimeoutError) as error:
        log.warning("deployment %s not warmed: %s: %s", deployment, type(error).__name__, error)
        reason = await _reason(error, job.endpoint)
        await in_database(warm_notes.note_failed, deployment, attempt, reason, str(error)[:300])
        return
    await in_database(warm_notes.note_warm, deployment, attempt, _speed(found))


async def unload(deployment: int, attempt: int, in_database: InDatabase) -> None:
    """DRAINING → STOPPED."""
    job = await in_database(_job, deployment, attempt, Deployment.State.DRAINING)
    if job is None:
        return
    problem = ""
    try:
        async with _beating(job, in_database), open_driver(job.endpoint) as driver:
            if isinstance(driver, Loads):
                await driver.unload(job.model)
    except BackendError as error:
        log.warning("deployment %s not unloaded: %s: %s", deployment, type(error).__name__, error)
        problem = error.code
    await in_database(warm_notes.note_unloaded, deployment, attempt, problem=problem)


async def measure(deployment: int, attempt: int, in_database: InDatabase) -> None:
    """A row for each number of streams, and a rate card by the last: at all slots, as prices are told before asking."""
    job = await in_database(_job, deployment, attempt, Deployment.State.WARM)
    if job is None:
        return
    try:
        async with _beating(job, in_database), open_driver(job.endpoint) as driver, asyncio.timeout(MEASURE_SECONDS):
            for streams in measuring.streams_up_to(job.slots):
                found = await measuring.measure(driver, job.model, streams, context_tokens=job.context_tokens)
                await in_database(warm_notes.note_speed, deployment, _speed(found))
        await in_database(_note_rates, deployment, found)
    except (BackendError, TimeoutError) as error:
        log.warning("deployment %s not measured: %s: %s", deployment, type(error).__name__, error)
    finally:
        await in_database(warm_notes.note_measured, deployment, attempt)


async def _load(driver: Driver, job: Job) -> None:
    if isinstance(driver, Loads):
        await driver.load(job.model, context_tokens=job.context_tokens, keep_seconds=FOR_EVER)


@asynccontextmanager
async def _beating(job: Job, in_database: InDatabase) -> AsyncIterator[None]:
    """Tell every few seconds that it is worked on; where it is not ours any more, cancel what is done inside."""
    work = asyncio.current_task()

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            if not await in_database(warm_notes.beat, job.deployment, job.attempt) and work is not None:
                work.cancel()

    beating = asyncio.create_task(beat())
    try:
        yield
    finally:
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await beating


def _job(deployment: int, attempt: int, state: str) -> Job | None:
    row = Deployment.objects.select_related("engine", "artifact").filter(pk=deployment, attempt=attempt, state=state)
    found = row.first()
    if found is None or not warm_notes.beat(deployment, attempt):
        return None
    try:
        endpoint = endpoint_of(found.engine)
    except SecretUnreadable:
        warm_notes.note_failed(deployment, attempt, "wrong_key")
        warm_notes.note_unloaded(deployment, attempt, problem="wrong_key")
        return None
    return Job(deployment, attempt, endpoint, found.artifact.ref, found.context_tokens, found.slots)


def _note_rates(deployment: int, found: measuring.Round) -> None:
    row = Deployment.objects.get(pk=deployment)
    RateCard.objects.create(
        deployment=row,
        prefill_us_per_token=found.prefill_us_per_token,
        decode_us_per_token=found.decode_us_per_token,
        load_ms=row.load_ms or 0,
    )


def _speed(found: measuring.Round) -> Speed:
    return Speed(found.streams, found.tokens_per_second, found.first_token_ms)


async def _reason(error: Exception, endpoint: Endpoint) -> str:
    if isinstance(error, BrokeOff):
        return "no_token"
    if not isinstance(error, BackendError):
        return "load_silent"
    # An engine that is well and gives no answer to this load means the model, not itself.
    is_well = error.retryable and (await health(endpoint)).is_ready
    return "load_failed" if is_well else error.code
