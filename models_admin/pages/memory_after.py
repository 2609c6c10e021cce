"""A host's memory as it would be with one more model: what stays, what comes, what is too much. For a bar."""

from __future__ import annotations

from collections.abc import Sequence

from django.utils.translation import gettext as _

from models_admin.hosts import hosts
from models_admin.models import Artifact, Deployment, Host
from models_admin.pages import host_view, memory_bars
from models_admin.pages.catalogue_view import gibibytes
from models_admin.pages.host_view import Colours
from models_admin.pages.memory_drawing import WIDTH, Memory, Segment

SERIES = ("series-1", "series-2", "series-3", "series-4")


def drawn(
    host: Host, here: Sequence[Deployment], unloads: Sequence[Deployment], *, artifact: Artifact, needs: int
) -> Memory | None:
    """All cards as one bar, or the machine's own memory. None where it has told nothing. `here`: what is deployed."""
    told = hosts.seen(host)
    if told is None:
        return None
    loaded = [row for row in here if host_view.is_loaded(row)]
    bars = memory_bars.bars(told, [host_view.loaded(row, told) for row in loaded])
    total, colours = sum(bar.total for bar in bars), Colours(loaded)
    gone = {row.pk for row in unloads}
    held = {row.pk: sum(bar.held_by(row.pk) for bar in bars) for row in loaded}
    others = sum(bar.used for bar in bars) - sum(held.values())
    staying = [(colours.of(row), row.artifact.model.name, held[row.pk]) for row in loaded if row.pk not in gone]
    # What of it is in memory already is not counted twice.
    needs = max(0, needs - sum(held[row.pk] for row in loaded if row.artifact_id == artifact.pk))
    taken = {look for look, _name, _size in staying}
    comes = next((each for each in SERIES if each not in taken), "series-rest")
    parts = [*staying, ("series-rest is-cache", _("other programs"), others), (comes, artifact.model.name, needs)]
    return _memory([part for part in parts if part[2] > 0], total)


def _memory(parts: Sequence[tuple[str, str, int]], total: int) -> Memory:
    """What exceeds the memory is drawn at its end."""
    used = sum(size for _look, _name, size in parts)
    scale, x, segments = WIDTH / max(total, 1), 0.0, []
    for look, _name, size in parts:
        room = max(0.0, WIDTH - x)
        width = min(size * scale, room)
        segments.append(
            Segment(look if used <= total or look != parts[-1][0] else "is-over", f"{x:.2f}", f"{width:.2f}")
        )
        x += width
    amount = _("%(used)s of %(total)s") % {"used": gibibytes(used).removesuffix(" GiB"), "total": gibibytes(total)}
    label = ", ".join(f"{name} {gibibytes(size)}" for _look, name, size in parts)
    return Memory("", tuple(segments), amount, gibibytes(max(0, total - used)), label)
