"""Who waits, as the database has it: the line, places in it and why each waits.

Apart from `scheduling`, because that loads the drivers: a web process has no use for 30 MB of HTTP clients.
"""

from __future__ import annotations

from django.conf import settings
from django.db.models import Q

from chat.line import Entry, Line
from chat.models import Generation
from models_admin import fleet

State = Generation.State


def read_line() -> Line:
    """The line as the database has it: what holds a slot and what waits, oldest first."""
    line = Line(running_per_flow=settings.RUNNING_PER_USER)
    live = Generation.objects.filter(state__in=Generation.LIVE).order_by("created_at", "id")
    for key, flow, model, state in live.values_list("pk", "user_id", "model_key", "state"):
        put = line.enqueue if state == State.WAITING else line.hold
        put(Entry(str(key), flow, model))
    return line


def places_in_line() -> dict[str, tuple[int, str]]:
    """How many are ahead of each that waits, and the code of why it waits."""
    line = read_line()
    without_engine = {model for model in line.models if not fleet.warm_deployments(model)}
    ahead = line.ahead_of()
    return {entry.key: (ahead[entry.key], _reason(line, entry, ahead[entry.key], without_engine)) for entry in line}


def _reason(line: Line, entry: Entry, ahead: int, without_engine: set[str]) -> str:
    if entry.model in without_engine:
        return "no_engine"
    if line.is_capped(entry):
        return "your_cap"
    return "ahead" if ahead else "next"


def ahead_of(row: Generation) -> int:
    """How many wait for the same model before it now."""
    earlier = Q(created_at__lt=row.created_at) | Q(created_at=row.created_at, pk__lt=row.pk)
    return Generation.objects.filter(earlier, state=State.WAITING, model_key=row.model_key).count()
