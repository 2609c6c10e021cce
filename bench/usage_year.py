"""One database with a year of a busy box in it: filled, rolled up, read. Prints what it took as one line of JSON.

DATABASE_URL=… R1WEB_DATA=… python -m bench.usage_year ENTRIES
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import django

django.setup()

from django.core.management import call_command  # noqa: E402
from django.db import connection  # noqa: E402
from django.test import Client  # noqa: E402

from accounts import rollup  # noqa: E402
from accounts.models import UsageDay, User  # noqa: E402

PEOPLE, MODELS, DAYS, READINGS = 100, 4, 365, 7
HISTORY_BATCH = 500_000
BACKEND = "django.contrib.auth.backends.ModelBackend"
PAGES = {
    "own usage, 14 days": "/usage/",
    "own usage, a year": "/usage/?days=365",
    "own CSV, a year": "/usage/usage.csv?days=365",
    "board, 30 days": "/admin/accounts/boxday/?days=30",
    "board, a year": "/admin/accounts/boxday/?days=365",
}
FILL = """
    INSERT INTO accounts_ledgerentry (key, at, ledger_id, group_name, token_name, model_key, host_name, source,
        prompt_tokens, cached_tokens, thinking_tokens, answer_tokens, waiting_ms, loading_ms, prefill_ms, decode_ms,
        gpu_ms_charged, gpu_ms_measured, cost_micro, currency, unsent_thinking_tokens)
    SELECT {key}, {at}, u.ledger_id, 'lab', '', 'model-' || (n / {people} % {models}), 'gpu-1', 'web',
        20 + n * 31 % 3000, n % 20, n * 17 % 2000, 30 + n * 13 % 900, n * 7919 % 90000, 0, n % 400, n * 11 % 30000,
        n * 29 % 40000, n * 23 % 30000, 0, '', n % 700
    FROM {series} JOIN accounts_user u ON u.id = {first} + n % {people}
"""
SQLITE = {
    "key": "printf('%032x/1/use', n)",
    "at": "strftime('%Y-%m-%d %H:%M:%f000', unixepoch('now') - ({entries} - n) * {seconds}, 'unixepoch')",
    "series": "(WITH RECURSIVE s(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM s WHERE n + 1 < {entries}) "
    "SELECT n FROM s)",
}
POSTGRES = {
    "key": "lpad(to_hex(n), 32, '0') || '/1/use'",
    "at": "now() - ({entries} - n) * {seconds} * interval '1 second'",
    "series": "generate_series(0::bigint, {entries} - 1) AS s(n)",
}


@dataclass(frozen=True)
class Year:
    """Seconds for the whole history, milliseconds for pages and for one sweep."""

    database: str
    entries: int
    rows: int
    rolled_up_seconds: float
    sweep_ms: float
    pages: dict[str, float]
    slowest: dict[str, float]


def main(entries: int) -> None:
    call_command("migrate", verbosity=0)
    people = [User(username=f"p{number}", is_staff=True, is_superuser=True) for number in range(PEOPLE)]
    User.objects.bulk_create(people)
    fill(entries, User.objects.order_by("pk").values_list("pk", flat=True)[0])
    begun = time.perf_counter()
    assert rollup.catch_up(HISTORY_BATCH) == entries
    seconds = time.perf_counter() - begun
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    pages = {name: _page(address) for name, address in PAGES.items()}
    print(
        json.dumps(
            asdict(
                Year(
                    connection.vendor,
                    entries,
                    UsageDay.objects.count(),
                    seconds,
                    _sweep_after(),
                    {name: statistics.median(times) for name, times in pages.items()},
                    {name: max(times) for name, times in pages.items()},
                )
            )
        )
    )


def fill(entries: int, first: int) -> None:
    words = SQLITE if connection.vendor == "sqlite" else POSTGRES
    numbers = {
        "entries": entries,
        "seconds": DAYS * 86400 / entries,
        "people": PEOPLE,
        "models": MODELS,
        "first": first,
    }
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous = OFF")
        # Through the driver's own cursor: Django would take the signs of percent for places of values.
        cursor.connection.execute(
            FILL.format(**{key: text.format(**numbers) for key, text in words.items()}, **numbers)
        )


def _page(address: str) -> list[float]:
    """Milliseconds of several readings by a person with the most rows there can be; the first, cold one is dropped."""
    client = Client()
    client.force_login(User.objects.order_by("pk")[0], backend=BACKEND)
    assert client.get(address).status_code == 200
    return [_milliseconds(lambda: client.get(address)) for _ in range(READINGS)]


def _sweep_after() -> float:
    """One batch of 50 new entries on top of the whole year."""
    numbers = {"people": PEOPLE, "models": MODELS, "first": User.objects.order_by("pk")[0].pk}
    words = SQLITE if connection.vendor == "sqlite" else POSTGRES
    words = {**words, "key": "'late-' || n || '/1/use'"}
    few = {"entries": 50, "seconds": 1, **numbers}
    with connection.cursor() as cursor:
        cursor.connection.execute(FILL.format(**{key: text.format(**few) for key, text in words.items()}, **few))
    begun = time.perf_counter()
    assert rollup.sweep() == few["entries"]
    return (time.perf_counter() - begun) * 1000


def _milliseconds(act: Callable[[], object]) -> float:
    begun = time.perf_counter()
    act()
    return (time.perf_counter() - begun) * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]))
