"""Bars of memory in the units of their picture, with the words beside and behind them."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from models_admin.pages.catalogue_view import gibibytes
from models_admin.pages.memory_bars import Bar, Part, What

# The bar's width in the units of its picture.
WIDTH = 480


@dataclass(frozen=True)
class Segment:
    """A stretch of a drawn bar; `look` are its classes."""

    look: str
    x: str
    width: str


@dataclass(frozen=True)
class Memory:
    """A drawn bar: of one card, or of the machine's own memory. `title` only where there are several."""

    title: str
    segments: tuple[Segment, ...]
    used: str
    free: str
    label: str


def drawn(bar: Bar, looks: dict[int, str], names: dict[int, str], is_one_of_many: bool, index: int) -> Memory:
    scale = WIDTH / bar.total if bar.total else 0
    segments, x = [], 0.0
    for part in bar.parts:
        width = part.bytes * scale
        segments.append(Segment(_look(part, looks), f"{x:.2f}", f"{width:.2f}"))
        x += width
    used = memory_in_use(bar.used, bar.total)
    held = dict.fromkeys(part.deployment for part in bar.parts if part.deployment is not None)
    what = [f"{names[each]} {gibibytes(bar.held_by(each))}" for each in held]
    title = _("GPU %(number)d") % {"number": index} if is_one_of_many else ""
    label = ": ".join(filter(None, (title, used, ", ".join(what))))
    return Memory(title, tuple(segments), used, _("%(size)s free") % {"size": gibibytes(bar.free)}, label)


def _look(part: Part, looks: dict[int, str]) -> str:
    if part.deployment is None:
        return "series-rest" if part.what is What.PROGRAM else "series-rest is-cache"
    return looks[part.deployment] + (" is-cache" if part.what is What.CACHE else "")


def memory_in_use(used: int, total: int) -> str:
    return _("%(used)s of %(total)s in use") % {
        "used": gibibytes(used).removesuffix(" GiB"), "total": gibibytes(total)
    }  # fmt: skip
