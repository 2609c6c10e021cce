"""What a person is told of his use: the page, the CSV; and the tables behind them, added up."""

from __future__ import annotations

import csv
import html
import io
import re
import urllib.request
from typing import Any

from tests.stack import Person, Stack

SECONDS = 90
COUNTED = ("prompt_tokens", "thinking_tokens", "answer_tokens")
SUMS = """
from django.db.models import Sum
from accounts.models import UsageDay
u = User.objects.get(pk=pk)
names = ('prompt_tokens', 'thinking_tokens', 'answer_tokens')
def sums(rows): return [rows.aggregate(s=Sum(name))['s'] or 0 for name in names]
result = dict(rollup=sums(UsageDay.objects.filter(ledger_id=u.ledger_id)),
    ledger=sums(LedgerEntry.objects.filter(ledger_id=u.ledger_id)), generations=sums(Generation.objects.filter(user=u)))
"""


def sums(stack: Stack, person: Person) -> dict[str, list[int]]:
    """COUNTED, in the roll-up, the ledger and the generations of one person."""
    found: dict[str, list[int]] = stack.orm(SUMS, pk=person.pk)
    return found


def is_added_up(stack: Stack, person: Person) -> bool:
    """Whether the leader has added up all that is in the ledger."""
    found = sums(stack, person)
    return found["rollup"] == found["ledger"]


def csv_rows(stack: Stack, person: Person) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(_get(stack, person, "/usage/usage.csv"))))


def csv_sum(rows: list[dict[str, Any]], name: str) -> int:
    return sum(int(row[name]) for row in rows)


def page(stack: Stack, person: Person) -> str:
    """The words of the usage page."""
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", _get(stack, person, "/usage/"))).split())


def _get(stack: Stack, person: Person, path: str) -> str:
    request = urllib.request.Request(f"{stack.url()}{path}", headers={"Cookie": f"sessionid={person.session}"})
    with urllib.request.urlopen(request, timeout=SECONDS) as response:
        return str(response.read().decode())
