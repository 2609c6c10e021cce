"""Numbers of use as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date

from django.utils.formats import date_format
from django.utils.translation import gettext as _

MICRO = 1_000_000


def whole(number: float) -> str:
    return f"{round(number):,}"


def short(number: float) -> str:
    """For the ticks of a chart: 400, 2k, 1.5M."""
    for size, letter in ((1_000_000_000, "G"), (1_000_000, "M"), (1000, "k")):
        if number >= size:
            return f"{number / size:g}{letter}"
    return f"{number:g}"


def seconds(milliseconds: int | None) -> str:
    if milliseconds is None:
        return "–"
    if milliseconds < 9_950:
        return _("{s} s").format(s=f"{milliseconds / 1000:.1f}")
    if milliseconds < 119_500:
        return _("{s} s").format(s=round(milliseconds / 1000))
    return _("{minutes} min").format(minutes=round(milliseconds / 60_000))


def gpu_seconds(milliseconds: int) -> str:
    """One decimal where it is little, so that little is not nothing."""
    return f"{milliseconds / 1000:.1f}" if 0 < milliseconds < 10_000 else whole(milliseconds / 1000)


def money(costs: Iterable[tuple[str, int]]) -> str:
    """To the cent; to a hundredth of it below one unit of money."""
    return " + ".join(f"{_amount(micro)} {currency}" for currency, micro in costs) or "–"


def _amount(micro: int) -> str:
    return f"{micro / MICRO:,.2f}" if abs(micro) >= MICRO else f"{micro / MICRO:.4f}"


def day(when: date) -> str:
    return date_format(when, "MONTH_DAY_FORMAT")


def month(begin: date) -> str:
    return date_format(begin, "YEAR_MONTH_FORMAT")


def short_day(when: date, *, with_month: bool) -> str:
    # Translators: a day under a chart, as Django writes date formats.
    return date_format(when, _("j M")) if with_month else str(when.day)
