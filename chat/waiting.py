"""Who waits, as the database has it: the line, places in it and why each waits.

Apart from `scheduling`, because that loads the drivers: a web process has no use for 30 MB of HTTP clients.
"""

from __future__ import annotations

from collections.abc import Iterable

from django.conf import settings
from django.db.models import Q

from chat import cold_models
from chat.bells import Place, Why
from chat.line import Entry, Line
from chat.models import Generation
from models_admin.engines import fleet
from models_admin.loads import outlook

State = Generation.State


def read_line() -> Line:
    """The line as the database has it: what holds a slot and what waits, oldest first."""
    line = Line(running_per_flow=settings.RUNNING_PER_USER)
    live = Generation.objects.filter(state__in=Generation.LIVE).order_by("created_at", "id")
    for key, flow, model, state in live.values_list("pk", "user_id", "model_key", "state"):
        put = line.enqueue if state == State.WAITING else line.hold
        put(Entry(str(key), flow, model))
    return line


def places_in_line() -> dict[str, Place]:
    """How many are ahead of each that waits, and why it waits."""
    line = read_line()
    cold = _cold(line.models)
    ahead = line.ahead_of()
    return {entry.key: Place(ahead[entry.key], _why(line, entry, ahead[entry.key], cold)) for entry in line}


def place_of(row: Generation) -> Place:
    """Of one that waits, without reading the line."""
    earlier = Q(created_at__lt=row.created_at) | Q(created_at=row.created_at, pk__lt=row.pk)
    ahead = Generation.objects.filter(earlier, state=State.WAITING, model_key=row.model_key).count()
    running = Generation.objects.filter(user=row.user_id, state__in=(State.RELEASED, State.RUNNING)).count()
    cold = _cold([row.model_key])
    return Place(ahead, cold.get(row.model_key) or _warm(running >= settings.RUNNING_PER_USER, ahead))


def _cold(models: Iterable[str]) -> dict[str, Why]:
    """Why those of the models that nothing warm serves are not served."""
    cold = [model for model in models if not fleet.warm_deployments(model)]
    look = outlook.look() if cold else None
    return {model: cold_models.why(model, look) for model in cold} if look else {}


def _why(line: Line, entry: Entry, ahead: int, cold: dict[str, Why]) -> Why:
    return cold.get(entry.model) or _warm(line.is_capped(entry), ahead)


def _warm(is_capped: bool, ahead: int) -> Why:
    if is_capped:
        return Why("your_cap")
    return Why("ahead" if ahead else "next")
