"""Who waits and who runs, as the database has it, and the line that is made of it.

Apart from `scheduling`, because that loads the drivers: a web process has no use for 30 MB of HTTP clients.
"""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db.models import QuerySet

from chat.line import IDLE, ORDINARY_WEIGHT, Entry, Line
from chat.models import Generation
from chat.models import Line as LineRow

State = Generation.State
# Written out, so that the planner sees that the partial indexes hold all of them: a bound value it cannot know.
WAITING: Final = "chat_generation.state = 'waiting'"
HELD: Final = "chat_generation.state IN ('released', 'running')"
CHUNK: Final = 500
CLOUD_MS_PER_TOKEN: Final = 1
# Whose flow idle calls are: what the site asks by itself moves nobody's place. No person has this number.
SITE: Final = 0
COLUMNS: Final = (
    "pk", "user_id", "model_key", "state", "queue_class", "estimate_gpu_ms", "estimate_tokens", "gpu_ms", "decode_us",
    "thinking_tokens", "answer_tokens", "user__main_group__weight", "created_at",
)  # fmt: skip


@dataclass(frozen=True)
class Live:
    """A generation as the line sees it. `gpu_ms`: charged so far, by the runner's last checkpoint or the end.

    A cloud takes no time of a card, but its places are shared too: the line counts its tokens.
    """

    entry: Entry
    state: str
    gpu_ms: int


def read_line() -> Line:
    """The line as the database has it, with what the last leader saved of its memory."""
    line = Line(running_per_flow=settings.RUNNING_PER_USER)
    row = LineRow.objects.filter(name="site").first()
    charged = line.rebuild(row.tags if row else {}, (live.entry for live in held()), (live.entry for live in waiting()))
    for live in of(charged):
        line.hold(live.entry, charged[live.entry.key])
        line.finish(live.entry.key, live.gpu_ms)
    return line


def waiting(since: datetime | None = None) -> Iterator[Live]:
    """Oldest first; with `since` those that were asked after it."""
    rows = Generation.objects.extra(where=[WAITING])  # nosec B610: a constant
    return _read(rows.filter(created_at__gte=since) if since else rows)


def held() -> Iterator[Live]:
    """Those that have a slot."""
    return _read(Generation.objects.extra(where=[HELD]))  # nosec B610: a constant


def of(keys: Collection[str]) -> Iterator[Live]:
    """Those with these ids, whatever became of them; one whose person was deleted is missing."""
    ids = [uuid.UUID(key) for key in keys]
    for start in range(0, len(ids), CHUNK):
        yield from _read(Generation.objects.filter(pk__in=ids[start : start + CHUNK]))


def _read(rows: QuerySet[Generation]) -> Iterator[Live]:
    found = rows.order_by("created_at", "pk").values_list(*COLUMNS)
    for row in found.iterator(chunk_size=2_000):
        pk, user, model, state, class_, estimate, tokens, gpu_ms, decode_us, thinking, answer, weight, created_at = row
        seq = round(created_at.timestamp() * 1e6)
        cost = estimate or tokens * CLOUD_MS_PER_TOKEN
        weight = ORDINARY_WEIGHT if weight is None else max(1, weight)  # of 0 it would never be served
        flow = SITE if class_ == IDLE else user
        entry = Entry(str(pk), flow, model, class_, max(1, cost), weight, seq)
        yield Live(entry, state, gpu_ms if decode_us else (thinking + answer) * CLOUD_MS_PER_TOKEN)
