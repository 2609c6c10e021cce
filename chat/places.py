"""Places in the line as the leader tells them: how many are ahead, when an answer begins, and why it waits.

The leader reckons all of them at once from a copy of its line; everybody else reads them from the board.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import msgspec
from django.db import transaction
from django.utils import timezone

from chat import cold_models, estimating, forecast
from chat.bells import Place, Why
from chat.forecast import Forecast, Service, Slot
from chat.line import Entry, Line
from chat.models import Generation, LengthSeen
from live import board
from models_admin.engines import fleet, rates
from models_admin.engines.rates import Rate
from models_admin.loads import outlook
from models_admin.models import Deployment, SlotLease

State = Generation.State
BOARD: Final = "r1:places"
BOARD_SECONDS: Final = 10
NEWCOMER: Final = "model:"
OVERTAKEN: Final = "overtaken"
UNSEEN_LOAD_MS: Final = 30_000
LOAD_SPREAD: Final = 0.3
KEPT_AT_ONCE: Final = 100  # a transaction each: the write lock is free for others between them
_read = msgspec.msgpack.Decoder(Place)


def places_of(line: Line, held_back: Collection[int] = ()) -> dict[str, Place]:
    """Of all that wait, from one reading of the tables. `line` is a copy, or nobody else may use it meanwhile.

    Deployments that are held back make way for others: nobody is told a time by their slots.
    """
    if not len(line):
        return {}
    models = line.models
    warm = {model: rows for model in models if (rows := fleet.warm_deployments(model))}
    cold = [model for model in models if model not in warm]
    look = outlook.look() if cold else None
    reasons = {model: cold_models.why(model, look) for model in cold} if look else {}
    reasons |= {model: _makes_way(rows) for model, rows in warm.items() if all(row.pk in held_back for row in rows)}
    found = forecast.forecast(line, _slots(line, warm, reasons, held_back), _serving(models).of)
    return _told(line, found, reasons, timezone.now())


def place_of(row: Generation) -> Place:
    """Of one that waits, as the leader told it last; of one that it has not seen yet, as it told of newcomers."""
    for key in (str(row.pk), for_newcomer(row.model_key)):
        told = board.read(BOARD, key)
        if told is not None:
            return _read.decode(told)
    warm = fleet.warm_deployments(row.model_key)
    ahead = Generation.objects.filter(state=State.WAITING, model_key=row.model_key, created_at__lt=row.created_at)
    count = ahead.count()
    return Place(count, _warm(count) if warm else cold_models.why(row.model_key, outlook.look()))


def place_of_newcomer(model_key: str) -> Place | None:
    """Where somebody who asks now would stand; None: nobody waits, or the model is cold."""
    told = board.read(BOARD, for_newcomer(model_key))
    return _read.decode(told) if told is not None else None


def told_places() -> dict[str, Place]:
    """Of all that wait, and of newcomers by model, as the leader told them last."""
    return {key: _read.decode(told) for key, told in board.read_all(BOARD).items()}


def newcomers(line: Line, held_back: Collection[int] = ()) -> dict[str, Place]:
    """Where somebody who has not asked yet would stand, by model: under the key `for_newcomer(model)`.

    `line` is used up. Of the models that are warm, for a question of ordinary length.
    """
    warm: dict[str, list[Deployment]] = {}
    for row in Deployment.objects.filter(state=Deployment.State.WARM, stage="").select_related(
        "engine", "artifact__model"
    ):
        warm.setdefault(row.artifact.model.key, []).append(row)
    serving, tokens = _serving(warm), estimating.UNSEEN_TOKENS
    for number, model in enumerate(warm, start=1):
        rate = serving.rates.get(model, estimating.NO_RATE)
        cost = max(1, rate.gpu_ms(prompt_tokens=0, output_tokens=tokens))
        line.enqueue(Entry(for_newcomer(model), -number, model, cost=cost, seq=sys.maxsize))
    found = forecast.forecast(line, _slots(line, warm, {}, held_back), serving.of)
    at = timezone.now().timestamp() * 1000
    wanted = {for_newcomer(model) for model in warm}
    return {
        key: Place(seen.ahead, _warm(seen.ahead), round(at + seen.low_ms), round(at + seen.high_ms))
        for key, seen in found.items()
        if key in wanted
    }


def for_newcomer(model_key: str) -> str:
    return f"{NEWCOMER}{model_key}"


def tell(before: Mapping[str, Place], now: Mapping[str, Place], *, is_whole: bool = False) -> dict[str, Place]:
    """Writes the board, all of it where `is_whole`: Redis may have forgotten it.

    Returns those of which their readers have to hear: small changes of a time are none.
    """
    now = {key: _overtaken(before.get(key), place) for key, place in now.items()}
    news = {key: place for key, place in now.items() if not _is_as_told(before.get(key), place)}
    if not before:  # what an earlier leader wrote
        board.clear(BOARD)
    gone = before.keys() - now.keys()
    written = now if is_whole else news
    board.write(
        BOARD,
        {key: msgspec.msgpack.encode(place) for key, place in written.items()},
        gone=gone,
        keep_seconds=BOARD_SECONDS,
    )
    return news


def keep_first_told(news: Mapping[str, Place]) -> None:
    """The first range that somebody was told stays with his question, so that its error can be known."""
    now = timezone.now().timestamp() * 1000
    timed = {key: place for key, place in news.items() if place.low is not None and place.high is not None}
    untold = Generation.objects.filter(told_low_ms__isnull=True)
    rows = list(untold.filter(pk__in=[uuid.UUID(key) for key in timed]).values_list("pk", "created_at"))
    for start in range(0, len(rows), KEPT_AT_ONCE):
        with transaction.atomic():
            for pk, created_at in rows[start : start + KEPT_AT_ONCE]:
                place, asked = timed[str(pk)], created_at.timestamp() * 1000
                low, high = max(place.low or 0, now) - asked, (place.high or 0) - asked
                untold.filter(pk=pk).update(told_low_ms=max(0, round(low)), told_high_ms=round(high))


@dataclass(frozen=True)
class _Serving:
    """How long answers hold their slots: by model its rate, and how far lengths are from their mean."""

    rates: Mapping[str, Rate]
    spreads: Mapping[str, float]

    def of(self, entry: Entry) -> Service:
        rate = self.rates.get(entry.model, estimating.NO_RATE)
        if rate.decode_us:
            ms = entry.cost * rate.stream_us / rate.decode_us
        else:
            ms = estimating.UNSEEN_TOKENS * rate.stream_us / 1000
        return Service(ms, ms * self.spreads.get(entry.model, 1.0))


def _serving(models: Iterable[str]) -> _Serving:
    rows = LengthSeen.objects.filter(user__isnull=True, model_key__in=list(models), tokens__gt=0)
    spreads = {row.model_key: forecast.relative_spread(row.tokens, row.spread) for row in rows}
    found = {model: rate for model in models if (rate := rates.of_model(model))}
    return _Serving(found, spreads)


def _slots(
    line: Line, warm: Mapping[str, list[Deployment]], reasons: Mapping[str, Why], held_back: Collection[int]
) -> dict[str, list[Slot]]:
    """Slots of warm models, with what holds them, and those of models that are loading."""
    serving, now = _serving(warm), timezone.now()
    leases: dict[int, list[SlotLease]] = {}
    for lease in SlotLease.objects.filter(deployment__in=[row for rows in warm.values() for row in rows]):
        leases.setdefault(lease.deployment_id, []).append(lease)
    found: dict[str, list[Slot]] = {}
    for model, rows in warm.items():
        for row in rows:
            if row.pk in held_back:
                continue
            held = [_held(line, lease, serving, now) for lease in leases.get(row.pk, [])]
            found.setdefault(model, []).extend([*held, *[Slot()] * max(0, row.slots - len(held))])
    for model, why in reasons.items():
        if why.code in ("loading", "evicting", "cold"):
            ms = why.seconds * 1000 if why.seconds is not None else UNSEEN_LOAD_MS
            found[model] = [Slot(ms, ms * LOAD_SPREAD)] * _slots_when_loaded(model)
    return found


def _makes_way(rows: Sequence[Deployment]) -> Why:
    model = rows[0].artifact.model
    return Why("makes_way", key=model.key, model=model.name)


def _held(line: Line, lease: SlotLease, serving: _Serving, now: datetime) -> Slot:
    entry = line.entry(str(lease.holder))
    elapsed = (now - lease.since).total_seconds() * 1000
    if entry is None or entry.key not in line.held:
        return Slot(UNSEEN_LOAD_MS / 2, UNSEEN_LOAD_MS / 2)
    left = forecast.left_of(serving.of(entry), elapsed)
    return Slot(left.free_ms, left.spread_ms, entry.key)


def _slots_when_loaded(model: str) -> int:
    row = Deployment.objects.filter(artifact__model__key=model).order_by("pk").first()
    return row.slots if row else 1


def _told(line: Line, found: Mapping[str, Forecast], reasons: Mapping[str, Why], now: datetime) -> dict[str, Place]:
    """Those that the run did not reach stand behind the others, in the order in which they were asked."""
    at = now.timestamp() * 1000
    behind: dict[str, int] = {}
    for key in found:
        entry = line.entry(key)
        if entry is not None:
            behind[entry.model] = behind.get(entry.model, 0) + 1
    told: dict[str, Place] = {}
    for entry in sorted(line, key=lambda each: each.seq):
        seen = found.get(entry.key)
        ahead = seen.ahead if seen else behind.get(entry.model, 0)
        if seen is None:
            behind[entry.model] = ahead + 1
        why = reasons.get(entry.model) or (Why("your_cap") if line.is_capped(entry) else _warm(ahead))
        low = round(at + seen.low_ms) if seen else None
        high = round(at + seen.high_ms) if seen else None
        told[entry.key] = Place(ahead, why, low, high)
    return told


def _warm(ahead: int) -> Why:
    return Why("ahead" if ahead else "next")


def _overtaken(before: Place | None, now: Place) -> Place:
    """Who falls back is told so for as long as he stands there: others used less of the box."""
    if before is None or now.why.code != "ahead":
        return now
    is_still = before.why.code == OVERTAKEN and now.ahead == before.ahead
    return msgspec.structs.replace(now, why=Why(OVERTAKEN)) if now.ahead > before.ahead or is_still else now


def _is_as_told(before: Place | None, now: Place) -> bool:
    if before is None or (before.ahead, before.why) != (now.ahead, now.why):
        return False
    if before.low is None or before.high is None or now.low is None or now.high is None:
        return before.low == now.low and before.high == now.high
    left = now.high - timezone.now().timestamp() * 1000
    step = max(3_000.0, 0.2 * left)
    return abs(now.low - before.low) < step and abs(now.high - before.high) < step
