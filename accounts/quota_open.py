"""Answers that are open while a limit is set: it counts them from then on, as if it had been there before them.

What is open is known to a higher room alone, which hands it in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import F

from accounts import quota_rules
from accounts.models import ApiToken, QuotaCounter, QuotaLimit, Reservation, User
from accounts.quota import OPEN_HOURS, Amounts
from accounts.quota_rules import Rule


@dataclass(frozen=True)
class Open:
    """An answer that waits or runs. `is_billed_in_part`: the ledger has what earlier attempts at it took."""

    generation_id: UUID
    user: User
    token: ApiToken | None
    model_key: str
    amounts: Amounts
    is_billed_in_part: bool = False


Reader = Callable[[], list[Open]]


class _Handed:
    read: Reader = list


def hand_in(reader: Reader) -> None:
    """`reader` locks what it gives, so that nothing of it ends before the transaction does. Called once, at start."""
    _Handed.read = staticmethod(reader)


def read() -> list[Open]:
    return _Handed.read()


def put_aside(limit: QuotaLimit, answers: Iterable[Open], now: datetime) -> None:
    """Reserve for each of them that the limit binds, however little is left of it: nothing that is open is cut."""
    found: dict[tuple[int, int | None, str], Rule | None] = {}
    for each in answers:
        key = (each.user.pk, each.token.pk if each.token else None, each.model_key)
        if key not in found:
            rules = quota_rules.rules(each.user, each.token, each.model_key, now)
            found[key] = next((rule for rule in rules if rule.limit.pk == limit.pk), None)
        rule = found[key]
        if rule is not None and each.amounts.touches(limit.unit):
            _reserve(rule, each, now)


def _reserve(rule: Rule, answer: Open, now: datetime) -> None:
    counter, _made = QuotaCounter.objects.get_or_create(
        limit=rule.limit, holder_id=rule.holder_id, window_start=rule.start, defaults={"window_end": rule.end}
    )
    amount = answer.amounts.of(rule.limit.unit)
    QuotaCounter.objects.filter(pk=counter.pk).update(reserved=F("reserved") + amount)
    Reservation.objects.create(
        generation_id=answer.generation_id,
        counter=counter,
        amount=amount,
        expires_at=now + timedelta(hours=OPEN_HOURS),
    )
