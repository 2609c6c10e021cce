"""Who waits, as the page of the box shows it: by model, why, and with names where the admin lets people see them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from django.conf import settings
from django.utils.functional import Promise as LazyText
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.models import User
from chat import places, waiting
from chat.bells import Place, Why
from chat.pace import Waiting
from models_admin.engines import access
from models_admin.models import CatalogueModel
from models_admin.pages.host_view import moment

MOST_NAMES = 12
SLOTS_TAKEN = gettext_lazy("all slots are taken")
WHY: Final[dict[str, str | LazyText]] = {
    "ahead": SLOTS_TAKEN,
    "next": SLOTS_TAKEN,
    "your_cap": SLOTS_TAKEN,
    "overtaken": SLOTS_TAKEN,
    "makes_way": gettext_lazy("it makes room for a model that was waited for longer"),
    "evicting": gettext_lazy("room is being made for it"),
    "loading": gettext_lazy("it is loading"),
    "cold": gettext_lazy("it is loaded next"),
    "no_room_in_use": gettext_lazy("no room: the models in memory are answering"),
    "no_room_pinned": gettext_lazy("no room: the models in memory are pinned"),
    "load_failed": gettext_lazy("it did not get ready"),
    "too_big": gettext_lazy("it does not fit into memory"),
    "pulling": gettext_lazy("its files are on their way"),
    "pull_paused": gettext_lazy("the pull of its files is paused"),
    "not_pulled": gettext_lazy("its files are not here"),
    "pull_failed": gettext_lazy("the pull of its files failed"),
    "host_gone": gettext_lazy("its host is silent"),
    "no_engine": gettext_lazy("no engine answers for it"),
}


@dataclass(frozen=True)
class Queue:
    """Who waits for a model: how many, why, and the reader's own place (0: he does not). `who` may be empty."""

    model: str
    count: int
    why: str
    place: int = 0
    who: tuple[str, ...] = ()
    more: int = 0


def may_see_names(reader: User) -> bool:
    """Who shares the machine is told where the admin says so (R1WEB_SHOW_NAMES); staff always see it."""
    return bool(reader.is_staff or settings.SHOW_NAMES)


def queues(reader: User, line: Sequence[Waiting]) -> list[Queue]:
    """The model that most wait for first; `line` is all that waits, oldest first."""
    if not line:
        return []
    # Without a leader nobody has reckoned them yet.
    told = places.told_places() or places.places_of(waiting.read_line())
    shown = CatalogueModel.objects.filter(key__in={each.model for each in line})
    may = access.of(reader)
    names = {
        model.key: model.name for model in shown if reader.is_staff or (model.is_visible and may.sees(model.key))
    }  # fmt: skip
    people = _people(reader, line)
    found = Counter(each.model for each in line)
    return [
        _queue(reader, [each for each in line if each.model == key], names.get(key, _("Another model")), told, people)
        for key, _count in found.most_common()
    ]


def _queue(reader: User, line: Sequence[Waiting], name: str, told: dict[str, Place], people: dict[int, str]) -> Queue:
    placed = [(each, told[each.id]) for each in line if each.id in told]
    own = next((place.ahead + 1 for each, place in placed if each.user == reader.pk), 0)
    who = list(dict.fromkeys(people[each.user] for each in line if each.user in people))
    return Queue(
        name,
        len(line),
        _why(placed[0][1].why) if placed else "",
        own,
        tuple(who[:MOST_NAMES]),
        max(0, len(who) - MOST_NAMES),
    )


def _why(why: Why) -> str:
    if why.code == "loading" and why.percent is not None:
        return _("it is loading, %(percent)d %%") % {"percent": why.percent}
    if why.code == "no_room_pinned" and why.until:
        until = moment(datetime.fromtimestamp(why.until / 1000, UTC))
        return _("no room: the models in memory are pinned until %(time)s") % {"time": until}
    return str(WHY.get(why.code, WHY["next"]))


def _people(reader: User, line: Iterable[Waiting]) -> dict[int, str]:
    if not may_see_names(reader):
        return {}
    rows = User.objects.filter(pk__in={each.user for each in line})
    return {row.pk: _("you") if row.pk == reader.pk else row.get_full_name() or row.get_username() for row in rows}
