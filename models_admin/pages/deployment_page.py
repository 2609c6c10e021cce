"""What the page of a deployment shows beside its fields: state and verbs, pins, speed, costs, log. No HTML."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from django.utils import formats
from django.utils.translation import gettext as _

from models_admin.models import Deployment, Measurement, Pin, RateCard
from models_admin.pages import model_work, pin_words
from models_admin.pages.catalogue_view import gibibytes, number
from models_admin.pages.host_view import moment
from models_admin.pages.model_verbs import Person
from models_admin.pages.model_work import Line

MOST_MEASUREMENTS = 30


@dataclass(frozen=True)
class PinLine:
    pin: Pin
    until: str


@dataclass(frozen=True)
class Speed:
    """One measured load, in words."""

    at: str
    streams: int
    tokens_per_second: str
    first_token: str


@dataclass(frozen=True)
class Fact:
    name: str
    value: str


@dataclass(frozen=True)
class Page:
    """`command` is how its host launches it, '' where it does not; `log` the end of what that server wrote."""

    line: Line
    facts: tuple[Fact, ...]
    pins: tuple[PinLine, ...]
    speeds: tuple[Speed, ...]
    costs: tuple[Fact, ...]
    command: str
    log: str
    is_launched: bool


def of(row: Deployment, person: Person) -> Page:
    launch = getattr(row, "launch", None)
    return Page(
        line=model_work.of_deployment(row, person),
        facts=tuple(_facts(row)),
        pins=tuple(
            PinLine(pin, moment(pin.ends_at) if pin.ends_at else "") for pin in pin_words.holding(row.pins.all())
        ),
        speeds=tuple(_speed(each) for each in row.measurements.all()[:MOST_MEASUREMENTS]),
        costs=_costs(row.rate_cards.order_by("-valid_from", "-pk").first()),
        command=_command(row) if launch else "",
        log=launch.log if launch else "",
        is_launched=launch is not None,
    )


def _facts(row: Deployment) -> Iterable[Fact]:
    if row.measured_bytes or row.expected_bytes:
        known = _("measured") if row.measured_bytes else _("reckoned")
        yield Fact(_("Memory"), f"{gibibytes(row.measured_bytes or row.expected_bytes or 0)}, {known}")
    if row.load_ms:
        yield Fact(_("Last load"), _("%(seconds)s s") % {"seconds": _decimal(row.load_ms / 1000)})
    if row.last_used_at:
        yield Fact(_("Last used"), moment(row.last_used_at))
    if row.failures:
        yield Fact(_("Failures in a row"), str(row.failures))


def _speed(each: Measurement) -> Speed:
    return Speed(
        moment(each.at),
        each.streams,
        _decimal(each.tokens_per_second),
        _("%(count)s ms") % {"count": number(each.first_token_ms)},
    )


def _costs(card: RateCard | None) -> tuple[Fact, ...]:
    """In microseconds of a card for each token, as prices are reckoned."""
    if card is None:
        return ()
    words = _("%(count)s µs a token")
    return (
        Fact(_("Reading"), words % {"count": number(card.prefill_us_per_token)}),
        Fact(_("Writing"), words % {"count": number(card.decode_us_per_token)}),
        Fact(_("Since"), moment(card.valid_from)),
    )


def _command(row: Deployment) -> str:
    """The words that the admin chose; the host adds address, port and key."""
    flags = (f"{name} {value}".strip() for name, value in row.launch.flags)
    return " ".join([row.launch.get_program_display(), row.artifact.ref, *flags])


def _decimal(value: float) -> str:
    return formats.number_format(round(value, 1), decimal_pos=1, force_grouping=True)
