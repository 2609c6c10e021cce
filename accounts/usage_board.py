"""What the admin's usage board shows, shaped for its template."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from accounts import usage, usage_page, usage_words
from accounts.usage import PersonUse, Total
from accounts.usage_page import View, Wish

LISTED = 20


@dataclass(frozen=True)
class Fact:
    """A number in large, what it is, and a line below it."""

    name: str
    value: str
    note: str


@dataclass(frozen=True)
class PersonLine:
    name: str
    requests: str
    tokens: str
    gpu: str
    percent: str
    waited: str


@dataclass(frozen=True)
class Board:
    facts: tuple[Fact, ...]
    view: View
    people: tuple[PersonLine, ...]
    more: int


def board(wish: Wish) -> Board:
    rows, people = usage.of_box(wish.period), usage.people(wish.period)
    everything = usage.total(rows)
    return Board(
        facts=(
            _asked(everything, sum(not each.is_site for each in people)),
            _gpu(everything),
            _cost(everything),
            _waits(everything),
            _fairness(wish),
        ),
        view=usage_page.view(rows, wish),
        people=tuple(_person(each, everything.gpu_ms) for each in people[:LISTED]),
        more=max(0, len(people) - LISTED),
    )


def _asked(total: Total, people: int) -> Fact:
    note = ngettext("by one person", "by %(count)d people", people) % {"count": people}
    return Fact(_("Questions"), usage_words.whole(total.requests), note)


def _gpu(total: Total) -> Fact:
    note = _("charged; the cards were at work for %(hours)s h") % {"hours": _hours(total.gpu_ms_measured)}
    return Fact(_("GPU hours"), _hours(total.gpu_ms), note)


def _hours(milliseconds: int) -> str:
    hours = milliseconds / 3_600_000
    return f"{hours:,.2f}" if hours < 10 else f"{hours:,.0f}"


def _cost(total: Total) -> Fact:
    return Fact(_("Clouds"), usage_words.money(total.costs), _("by the prices valid when each answer was released"))


def _waits(total: Total) -> Fact:
    """Half, and nine of ten, waited less."""
    note = _("nine of ten waited less than %(time)s") % {"time": usage_words.seconds(total.waited_ms(0.9))}
    return Fact(_("Waited, median"), usage_words.seconds(total.waited_ms(0.5)), note)


def _fairness(wish: Wish) -> Fact:
    found = usage.fairness(wish.period)
    if found is None:
        return Fact(_("Fairness"), "–", _("on no day did two people wait for a minute"))
    note = ngettext(
        "Jain's index over the GPU time of those who waited a minute or longer, on one day; 1 = all got the same",
        "Jain's index over the GPU time of those who waited a minute or longer, on %(days)d days; 1 = all got the same",
        found.days,
    ) % {"days": found.days}  # fmt: skip
    return Fact(_("Fairness"), f"{found.index:.2f}", note)


def _person(each: PersonUse, all_gpu_ms: int) -> PersonLine:
    return PersonLine(
        name=_("the site itself, in idle time") if each.is_site else each.name,
        requests=usage_words.whole(each.requests),
        tokens=usage_words.whole(each.output_tokens),
        gpu=usage_words.gpu_seconds(each.gpu_ms),
        percent=f"{100 * each.gpu_ms / all_gpu_ms:.0f} %" if all_gpu_ms else "–",
        waited=usage_words.seconds(each.waited_ms // each.requests if each.requests else None),
    )
