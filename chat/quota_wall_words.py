"""The sentences at the wall. Times are the reader's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from django.utils.translation import gettext as _

from accounts import quota_rules, quota_times, quota_words
from accounts.models import QuotaLimit, QuotaRequest
from accounts.quota_standing import Standing

Unit, Window, Kind = QuotaLimit.Unit, QuotaLimit.Window, QuotaLimit.SubjectKind


def warning(standing: Standing, currency: str) -> str:
    about = {
        "name": quota_words.name(standing.limit),
        "left": _money(standing, standing.left, currency),
        "all": _money(standing, standing.allowed, currency),
        "when": _when(standing),
    }
    return _("%(name)s: %(left)s of %(all)s left, full again %(when)s") % about


def title(standing: Standing, needs: int | None) -> str:
    """`needs`: what the refused wish takes; None where the limit is simply used up."""
    if standing.is_counted_now:
        return _("You have as many answers open as you may")
    if needs is not None and needs > standing.allowed > 0:
        return _("This question is larger than the limit")
    if standing.left and needs is not None:
        return _("Too little is left for this question")
    return _used_up(standing.limit)


def reset(standing: Standing, needs: int | None) -> str:
    if standing.is_counted_now:
        return _("There is room as soon as one of them has ended")
    if standing.allowed == 0 or (needs or 0) > standing.allowed:
        return ""
    about = {"when": _when(standing), "left": quota_times.left(standing.rule.end)}
    return _("Full again %(when)s, in %(left)s") % about


def why(standing: Standing, needs: int | None, currency: str) -> str:
    kept = _("Your draft is kept below. Answers that are already running will finish.")
    if standing.allowed == 0:
        return _("An admin has set this limit to nothing. Your draft is kept below.")
    if needs is None or standing.is_counted_now or (not standing.left and needs <= standing.allowed):
        return kept
    about = {
        "needs": _counted(standing, needs, currency),
        "left": _counted(standing, standing.left, currency),
        "all": _counted(standing, standing.allowed, currency),
    }
    if needs > standing.allowed:
        return _("It takes about %(needs)s, and the limit is %(all)s. Your draft is kept below.") % about
    return _("It takes about %(needs)s, and %(left)s are left. Your draft is kept below.") % about


def no_price() -> str:
    return _("This model has no price yet")


def why_no_price(standing: Standing, *, is_admin: bool) -> str:
    """Which limit it is, and who can help."""
    about = {"name": quota_words.name(standing.limit)}
    if is_admin:
        return _("“%(name)s” is limited and cannot count what has no price. Your draft is kept below.") % about
    told = _("“%(name)s” is limited and cannot count what has no price; an admin can add it. Your draft is kept below.")
    return told % about


def name(standing: Standing, names: Mapping[str, str]) -> str:
    """'GPU time today', with the model where it is for one, and who shares it."""
    limit = standing.limit
    about = {"name": quota_words.name(limit), "model": names.get(limit.model_key, limit.model_key)}
    told = _("%(name)s, %(model)s") % about if limit.model_key else about["name"]
    if limit.subject_kind == Kind.GROUP and not quota_rules.counts_each(limit):
        return _("%(name)s, your group together") % {"name": told}
    if limit.subject_kind == Kind.EVERYONE and not quota_rules.counts_each(limit):
        return _("%(name)s, everyone together") % {"name": told}
    return told


def told(standing: Standing, currency: str) -> str:
    """'600 / 600 s': the unit stands once, after both."""
    taken = quota_words.number(standing.limit, min(standing.taken, standing.allowed))
    return f"{taken} / {_money(standing, standing.allowed, currency)}"


def left(standing: Standing, currency: str) -> str:
    if standing.debt:
        return _both(_left(standing, currency), _carried(standing, currency))
    return _left(standing, currency)


def _carried(standing: Standing, currency: str) -> str:
    return _("%(debt)s paid for what went over before") % {"debt": _money(standing, standing.debt, currency)}


def _both(first: str, second: str) -> str:
    return _("%(first)s; %(second)s") % {"first": first, "second": second}


def _left(standing: Standing, currency: str) -> str:
    if standing.left == 0:
        return _("nothing left")
    about = {"left": _money(standing, standing.left, currency), "when": _when(standing)}
    return _("%(left)s left") % about if standing.is_counted_now else _("%(left)s left, full again %(when)s") % about


def note(names: Sequence[str]) -> str:
    """About the models that are offered instead."""
    if not names:
        return _("No other model that is ready is within your limits.")
    return _("%(model)s is ready now and within your limits.") % {"model": names[0]}


def asked() -> str:
    return _("You asked for more. An admin sees it with your usage; the answer comes to this page.")


def answer(row: QuotaRequest, currency: str) -> str:
    about = {"name": quota_words.name(row.limit)}
    if row.state != QuotaRequest.State.GRANTED:
        return _("An admin did not grant more: %(name)s.") % about
    if row.granted is None or row.granted.ends_at is None:
        return _("An admin granted more: %(name)s.") % about
    about["amount"] = quota_words.amount(row.granted, row.granted.amount)
    about["when"] = quota_times.until(row.granted.ends_at)
    return _("An admin granted more until %(when)s. %(name)s: %(amount)s on top.") % about


def _when(standing: Standing) -> str:
    return quota_times.at(standing.resets_at) if standing.resets_at else ""


def _counted(standing: Standing, amount: int, currency: str) -> str:
    """With its unit where no name stands beside it."""
    told = _money(standing, amount, currency)
    return _("{n} tokens").format(n=told) if standing.limit.unit == Unit.OUTPUT_TOKENS else told


def _money(standing: Standing, amount: int, currency: str) -> str:
    told = quota_words.amount(standing.limit, amount)
    return f"{told} {currency}".strip() if standing.limit.unit == Unit.COST_MICRO else told


def _used_up(limit: QuotaLimit) -> str:
    titles = {
        Unit.GPU_MS: (
            _("This hour’s GPU time is used up"), _("Today’s GPU time is used up"),
            _("This week’s GPU time is used up"), _("This month’s GPU time is used up"),
        ),
        Unit.OUTPUT_TOKENS: (
            _("This hour’s tokens are used up"), _("Today’s tokens are used up"),
            _("This week’s tokens are used up"), _("This month’s tokens are used up"),
        ),
        Unit.REQUESTS: (
            _("This hour’s questions are used up"), _("Today’s questions are used up"),
            _("This week’s questions are used up"), _("This month’s questions are used up"),
        ),
        Unit.COST_MICRO: (
            _("This hour’s cloud money is used up"), _("Today’s cloud money is used up"),
            _("This week’s cloud money is used up"), _("This month’s cloud money is used up"),
        ),
    }  # fmt: skip
    return titles[Unit(limit.unit)][Window.values.index(limit.window)]
