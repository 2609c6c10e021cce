"""What the usage page and the admin's board show, shaped for their templates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from urllib.parse import urlencode

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts import usage, usage_chart, usage_words
from accounts.models import BoxDay, QuotaLimit, UsageDay
from accounts.usage import Period, Total
from accounts.usage_chart import Amount, Bar, Chart

PERIODS = {
    14: gettext_lazy("14 days"),
    30: gettext_lazy("30 days"),
    90: gettext_lazy("90 days"),
    365: gettext_lazy("A year"),
}
MEASURES = {"gpu": gettext_lazy("GPU seconds"), "tokens": gettext_lazy("Tokens"), "requests": gettext_lazy("Questions")}
UNITS = {
    "gpu": QuotaLimit.Unit.GPU_MS,
    "tokens": QuotaLimit.Unit.OUTPUT_TOKENS,
    "requests": QuotaLimit.Unit.REQUESTS,
}
SHARE_WIDTH = 120
DAYS_LISTED = 31


@dataclass(frozen=True)
class Wish:
    """What of it is to be seen: the last so many days, drawn by a measure ('' = GPU seconds where there are any)."""

    days: int = 14
    measure: str = ""

    @classmethod
    def read(cls, days: str, measure: str) -> Wish:
        """What makes no sense is taken as not said."""
        return cls(
            int(days) if days in {str(each) for each in PERIODS} else cls.days, measure if measure in MEASURES else ""
        )

    @property
    def period(self) -> Period:
        return Period.of_days(self.days)


@dataclass(frozen=True)
class Choice:
    name: str
    query: str
    is_chosen: bool


@dataclass(frozen=True)
class DrawnBar:
    bar: Bar
    title: str
    tick: str
    is_today: bool


@dataclass(frozen=True)
class Tick:
    text: str
    y: str
    text_y: str


@dataclass(frozen=True)
class Drawing:
    """The chart with its words."""

    title: str
    label: str
    chart: Chart
    bars: tuple[DrawnBar, ...]
    grid: tuple[Tick, ...]
    limit: Tick | None


@dataclass(frozen=True)
class Line:
    """A line of a table; `share` is the width of its bar."""

    name: str
    look: str
    share: str
    requests: str
    prompt: str
    cached: str
    thinking: str
    answer: str
    gpu: str
    cost: str
    waited: str
    waited_most: str


@dataclass(frozen=True)
class View:
    periods: tuple[Choice, ...]
    measures: tuple[Choice, ...]
    query: str
    drawing: Drawing
    models: tuple[Line, ...]
    times: tuple[Line, ...]
    are_months: bool
    all: Line
    unsent: str
    has_cost: bool

    @property
    def is_empty(self) -> bool:
        return not self.models


def view(rows: Sequence[UsageDay] | Sequence[BoxDay], wish: Wish, *, limit: int | None = None) -> View:
    """`limit` is how much of the measure a day may have, in the unit of the tables."""
    period, measure = wish.period, measure_of(rows, wish)
    scale = 1000 if measure == "gpu" else 1
    chart = usage_chart.drawn(
        [Amount(row.day, row.model_key, _amount(row, measure) / scale) for row in rows],
        first=period.first,
        last=period.last,
        limit=limit / scale if limit else None,
    )
    everything, models = usage.total(rows), usage.by_model(rows)
    looks = {each.model_key: each.look for each in chart.series}
    most = max((_size(total) for _key, total in models), default=0) or 1
    return View(
        periods=tuple(
            Choice(str(name), _query(days, wish.measure), days == wish.days) for days, name in PERIODS.items()
        ),
        measures=tuple(Choice(str(name), _query(wish.days, key), key == measure) for key, name in MEASURES.items()),
        query=_query(wish.days, wish.measure),
        drawing=_drawing(chart, measure, period),
        models=tuple(
            _line(key, total, look=looks.get(key, "series-rest"), share=_size(total) / most) for key, total in models
        ),
        times=_times(rows, wish),
        are_months=wish.days > DAYS_LISTED,
        all=_line(_("All"), everything),
        unsent=usage_words.whole(everything.unsent_thinking_tokens) if everything.unsent_thinking_tokens else "",
        has_cost=bool(everything.costs),
    )


def _times(rows: Sequence[UsageDay] | Sequence[BoxDay], wish: Wish) -> tuple[Line, ...]:
    """Days, or months where there would be too many days to read."""
    if wish.days <= DAYS_LISTED:
        return tuple(_line(usage_words.day(day), total) for day, total in usage.by_day(rows))
    return tuple(_line(usage_words.month(month), total) for month, total in usage.by_month(rows))


def measure_of(rows: Sequence[UsageDay] | Sequence[BoxDay], wish: Wish) -> str:
    """Where nothing was charged yet, because no rate is known, a chart of GPU time would be empty."""
    return wish.measure or ("gpu" if any(row.gpu_ms_charged for row in rows) else "tokens")


def _amount(row: UsageDay | BoxDay, measure: str) -> int:
    if measure == "gpu":
        return row.gpu_ms_charged
    return row.requests if measure == "requests" else row.thinking_tokens + row.answer_tokens


def _size(total: Total) -> int:
    return total.gpu_ms or total.output_tokens


def _query(days: int, measure: str) -> str:
    return urlencode({"days": days} | ({"show": measure} if measure else {}))


def _drawing(chart: Chart, measure: str, period: Period) -> Drawing:
    is_weeks = any(bar.days > 1 for bar in chart.bars)
    shape = _("%(what)s per week") if is_weeks else _("%(what)s per day")
    title = shape % {"what": MEASURES[measure]}
    label = _("%(title)s over the last %(days)d days, stacked by model.") % {"title": title, "days": period.days}
    if chart.highest and chart.highest.amount:
        high = {"amount": usage_words.whole(chart.highest.amount), "day": usage_words.day(chart.highest.day)}
        label += " " + _("Highest: %(amount)s on %(day)s.") % high
    limit = None
    if chart.limit:
        text = _("limit %(amount)s a day") % {"amount": usage_words.whole(chart.limit.amount)}
        limit = Tick(text, chart.limit.y, f"{float(chart.limit.y) - 6:.1f}")
    grid = tuple(Tick(usage_words.short(line.amount), line.y, line.text_y) for line in chart.grid)
    return Drawing(title, label, chart, _bars(chart, measure, period), grid, limit)


def _bars(chart: Chart, measure: str, period: Period) -> tuple[DrawnBar, ...]:
    found, month = [], None
    for bar in chart.bars:
        is_today = bar.days == 1 and bar.day == period.last
        title = f"{usage_words.day(bar.day)}: {usage_words.whole(bar.amount)} {MEASURES[measure]}"
        tick = ""
        if bar.has_label:
            tick = (
                _("today")
                if is_today
                else usage_words.short_day(bar.day, with_month=bar.days > 1 or bar.day.month != month)
            )
            month = bar.day.month
        found.append(DrawnBar(bar, title, tick, is_today))
    return tuple(found)


def _line(name: str, total: Total, *, look: str = "", share: float = 0) -> Line:
    whole = usage_words.whole
    return Line(
        name=name,
        look=look,
        share=f"{share * SHARE_WIDTH:.1f}",
        requests=whole(total.requests),
        prompt=whole(total.prompt_tokens),
        cached=whole(total.cached_tokens),
        thinking=whole(total.thinking_tokens),
        answer=whole(total.answer_tokens),
        gpu=usage_words.gpu_seconds(total.gpu_ms),
        cost=usage_words.money(total.costs),
        waited=usage_words.seconds(total.waited_ms(0.5)),
        waited_most=usage_words.seconds(total.waited_ms(0.9)),
    )


def csv_name(period: Period, of: str) -> str:
    return f"{of}-{_iso(period.first)}-{_iso(period.last)}.csv"


def _iso(day: date) -> str:
    return day.isoformat()
