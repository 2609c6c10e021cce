"""One database with a long line in it: what its leader does, again and again.

Prints medians in ms, elapsed and of its own CPU, as a line of JSON.

DATABASE_URL=… REDIS_URL=… python -m bench.line_turns PEOPLE WAITING
"""

from __future__ import annotations

import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import TypeAlias, cast

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db.models import DateTimeField  # noqa: E402
from django.utils import timezone  # noqa: E402

from accounts.models import User  # noqa: E402
from chat import line_memory, places, scheduling, waiting  # noqa: E402
from chat.line_memory import LineMemory  # noqa: E402
from chat.models import Generation, LengthSeen  # noqa: E402
from models_admin.engines import fleet  # noqa: E402
from models_admin.models import Artifact, CatalogueModel, Deployment, Engine, RateCard, SlotLease  # noqa: E402

READINGS, SLOTS, MODEL = 7, 8, "known"
Times: TypeAlias = tuple[float, float]


def main(people: int, count: int) -> None:
    call_command("migrate", verbosity=0)
    fill(people, count)
    memory = LineMemory()
    scheduling.release_what_can_run(memory)
    told = places.places_of(memory.copy())
    found = {
        "rebuild from the database": _milliseconds(waiting.read_line),
        "a turn at a doorbell": _milliseconds(lambda: scheduling.release_what_can_run(memory)),
        "a turn that looks at everybody": _milliseconds(lambda: _reconcile(memory)),
        "places and ranges of all": _milliseconds(lambda: scheduling.places_and_newcomers(memory)),
        "written to the board, all of them new": _milliseconds(lambda: places.tell({}, told)),
        "written to the board, nothing new": _milliseconds(lambda: places.tell(told, told)),
        "first ranges of 1,000 kept": _once(lambda: places.keep_first_told(told)),
    }
    print(json.dumps(found))


def fill(people: int, count: int) -> None:
    """`count` waiting, asked over the last hour, of one model whose slots are all taken."""
    User.objects.bulk_create([User(username=f"p{number}") for number in range(people)])
    users = list(User.objects.order_by("pk").values_list("pk", flat=True))
    artifact = Artifact.objects.create(model=CatalogueModel.objects.create(key=MODEL, name=MODEL), ref=MODEL)
    engine = Engine.objects.create(host=fleet.local_host(), kind="llama.cpp", base_url="http://127.0.0.1:9")
    row = Deployment.objects.create(
        engine=engine, artifact=artifact, context_tokens=2048, slots=SLOTS, state=Deployment.State.WARM
    )
    RateCard.objects.create(deployment=row, prefill_us_per_token=500, decode_us_per_token=20_000)
    LengthSeen.objects.create(model_key=MODEL, think="auto", tokens=900, spread=400, seen=9)
    asked = cast("DateTimeField[object, object]", Generation._meta.get_field("created_at"))
    asked.auto_now_add = False
    now = timezone.now()
    rows = [
        Generation(
            user_id=users[number % people], client_key=uuid.uuid4(), request_digest="", model_key=MODEL,
            estimate_gpu_ms=500 + number * 37 % 9_000, created_at=now - timedelta(seconds=3600 * (1 - number / count)),
            state="waiting" if number >= SLOTS else "released", deployment=None if number >= SLOTS else row,
        )
        for number in range(count + SLOTS)
    ]  # fmt: skip
    Generation.objects.bulk_create(rows, batch_size=500)
    SlotLease.objects.bulk_create(
        SlotLease(deployment=row, number=number + 1, holder=rows[number].pk) for number in range(SLOTS)
    )


def _reconcile(memory: LineMemory) -> None:
    often, line_memory.RECONCILE_SECONDS = line_memory.RECONCILE_SECONDS, -1.0  # type: ignore[misc]
    try:
        scheduling.release_what_can_run(memory)
    finally:
        line_memory.RECONCILE_SECONDS = often  # type: ignore[misc]


def _milliseconds(act: Callable[[], object]) -> Times:
    act()
    readings = [_once(act) for _ in range(READINGS)]
    return statistics.median(each[0] for each in readings), statistics.median(each[1] for each in readings)


def _once(act: Callable[[], object]) -> Times:
    begun, cpu = time.perf_counter(), time.process_time()
    act()
    return (time.perf_counter() - begun) * 1000, (time.process_time() - cpu) * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
