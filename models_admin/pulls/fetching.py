"""A host's work on one pull: it follows the site's newest word, tells how far it is, and ends with one of two words.

No database: what is needed comes in the order, what happens goes out through `report`. Where the process is killed
nothing is told; the site sends the order again, and the bytes at hand are gone on from.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from models_admin.backends.base import BackendError
from models_admin.backends.fetch import Meter
from models_admin.backends.partial_file import DiskFull, NotWritable
from models_admin.family.model_names import NameRefused
from models_admin.orders.pull_orders import Discarded, End, PullOrder, Step, StopOrder, Told
from models_admin.pulls import pull_claims, pull_sources
from models_admin.pulls.pull_claims import Claim
from models_admin.pulls.pull_sources import Place

log = logging.getLogger(__name__)
TICK_SECONDS = 1.0
# Speed is the mean of so many seconds: a single one jumps with every block.
SPEED_SECONDS = 10
# How long the end is offered to a broker that is away; after it the site asks again, and the files are there.
TELL_END_SECONDS = 120.0
DETAIL_LENGTH = 300
Report = Callable[[Told], bool]  # False: it could not be sent
_is_stopping = threading.Event()


def stop_all() -> None:
    """The process ends: pulls keep their bytes and tell no end, so that another process goes on."""
    _is_stopping.set()


async def pull(order: PullOrder, place: Place, report: Report) -> None:
    """Returns when the pull has ended, or at once where it is not this process's to do."""
    try:
        files = pull_sources.files_of(order.wanted, place)
        claim = await asyncio.to_thread(pull_claims.take, place.folder, order)
    except (NameRefused, BackendError, OSError) as error:
        report(Told(order.job, order.attempt, end=_failure(error)))
        return
    if claim is None:
        return
    try:
        end = await _work(order, place, claim, report)
        if end is not None:
            await _tell_end(claim, end, report)
    finally:
        await asyncio.to_thread(claim.give_back, files)


def stop(order: StopOrder, place: Place, report: Report) -> None:
    """Ends the pull of these files on this host, whichever process runs it; tells where they were to go as well."""
    is_gone = pull_claims.stop(place.folder, order, pull_sources.files_of(order.wanted, place))
    if is_gone is not None:
        report(Told(order.job, order.attempt, discarded=Discarded("" if is_gone else NotWritable.code)))


async def _work(order: PullOrder, place: Place, claim: Claim, report: Report) -> End | None:
    """None where it was stopped."""
    meter, speed = Meter(total=order.wanted.bytes), _Speed()
    working = asyncio.create_task(_fetch(order, place, meter))
    try:
        while True:
            await asyncio.wait({working}, timeout=TICK_SECONDS)
            note = await asyncio.to_thread(claim.note)
            if note.is_stopped or _is_stopping.is_set():
                return None
            if working.done():
                return working.result()
            if await asyncio.to_thread(_is_full, place, order):
                return _failure(DiskFull("the disk is almost full"))
            step = _step(meter, speed.after(meter.moved))
            await asyncio.to_thread(report, Told(note.job, note.attempt, step=step))
    finally:
        working.cancel()
        await asyncio.wait({working})


async def _fetch(order: PullOrder, place: Place, meter: Meter) -> End:
    try:
        source = pull_sources.source_for(order.wanted, place)
        await asyncio.to_thread(_refuse_full, order, place)
        path = await source.fetch(meter)
    except (NameRefused, BackendError, OSError) as error:
        log.warning("pull of %s ended: %s: %s", order.wanted.ref, type(error).__name__, error)
        return _failure(error)
    return End("success", verified=True, path=path, bytes=meter.done)


def _refuse_full(order: PullOrder, place: Place) -> None:
    """Raises DiskFull before the first byte where the rest will not fit. Ollama has a disk of its own choosing."""
    if order.wanted.source == "ollama" or order.wanted.bytes is None:
        return
    files = pull_sources.files_of(order.wanted, place)
    there = sum(_bytes_in(folder) for folder in (files, pull_claims.work_folder(files)))
    missing = order.wanted.bytes - there
    if missing > 0 and missing + place.spare_bytes > _free(place):
        raise DiskFull(f"{missing} bytes are missing, {max(0, _free(place) - place.spare_bytes)} are free")


def _is_full(place: Place, order: PullOrder) -> bool:
    return order.wanted.source != "ollama" and _free(place) < place.spare_bytes


def _free(place: Place) -> int:
    return shutil.disk_usage(place.folder).free


def _bytes_in(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


async def _tell_end(claim: Claim, end: End, report: Report) -> None:
    """The attempt is read anew at each try: this end answers a later one that came meanwhile as well."""
    until = time.monotonic() + TELL_END_SECONDS
    while not _is_stopping.is_set():
        note = await asyncio.to_thread(claim.note)
        told = Told(note.job, note.attempt, end=end)
        if note.is_stopped or await asyncio.to_thread(report, told) or time.monotonic() > until:
            return
        await asyncio.sleep(TICK_SECONDS)


def _step(meter: Meter, speed: int) -> Step:
    return Step(meter.stage, done=max(0, meter.done), total=meter.total, speed=speed)


def _failure(error: Exception) -> End:
    if isinstance(error, NameRefused):
        return End("failure", reason="name_refused", detail=str(error)[:DETAIL_LENGTH])
    ours = error if isinstance(error, BackendError) else NotWritable(getattr(error, "strerror", "") or str(error))
    return End("failure", reason=ours.code, detail=str(ours)[:DETAIL_LENGTH])


class _Speed:
    """Bytes/s over the last seconds, of what came over the network."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, int]] = deque([(time.monotonic(), 0)], maxlen=SPEED_SECONDS)

    def after(self, moved: int) -> int:
        now, (since, before) = time.monotonic(), self._seen[0]
        self._seen.append((now, moved))
        return max(0, round((moved - before) / max(now - since, 0.001)))
