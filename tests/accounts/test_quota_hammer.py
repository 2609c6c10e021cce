"""Two processes of sixteen threads each at one limit: exactly what it allows is granted, and each once booked."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.db import connection

from accounts.models import QuotaCounter, QuotaLimit, Reservation, User

ROOT = Path(__file__).resolve().parents[2]
ALLOWED = 40
THREADS = 16
HAMMER = """
import json, sys, uuid
import django
django.setup()
from django.conf import settings
from django.db import connections, transaction
connections["default"].close()
settings.DATABASES["default"]["NAME"] = connections["default"].settings_dict["NAME"] = sys.argv[1]
from accounts import quota
from accounts.models import User
from tests.accounts.racing import race
person = User.objects.get(username="ann")

def ask(number):
    taken = []
    for turn in range(2):
        key = uuid.uuid4()
        try:
            with transaction.atomic():
                quota.reserve(user=person, token=None, generation_id=key, model_key="m",
                              amounts=quota.Amounts(output_tokens=5))
        except quota.QuotaExceeded:
            continue
        taken.append(str(key))
    if number % 2 and taken:
        quota.settle(uuid.UUID(taken[0]), quota.Amounts(output_tokens=3))
    return taken

print(json.dumps(sum(race(ask, threads=int(sys.argv[2])), [])))
"""


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_two_processes_of_sixteen_threads_stay_within_every_limit() -> None:
    person = User.objects.create_user("ann")
    mine = {"subject_kind": "user", "subject_id": person.pk, "window": "day"}
    for window in ("day", "month"):
        QuotaLimit.objects.create(**mine | {"window": window}, unit="requests", amount=ALLOWED)
    QuotaLimit.objects.create(**mine, unit="output_tokens", amount=10**6)
    granted = [key for keys in _hammer(processes=2) for key in keys]
    assert len(granted) == ALLOWED
    rows = list(QuotaCounter.objects.values_list("limit__unit", "used", "reserved"))
    assert [used + reserved for unit, used, reserved in rows if unit == "requests"] == [ALLOWED, ALLOWED]
    settled = Reservation.objects.filter(state="settled", counter__limit__unit="output_tokens").count()
    assert [row[1:] for row in rows if row[0] == "output_tokens"] == [(3 * settled, 5 * (ALLOWED - settled))]
    assert {str(key) for key in Reservation.objects.values_list("generation_id", flat=True)} == set(granted)


def _hammer(*, processes: int) -> list[list[str]]:
    """Keys of the wishes that each process was granted."""
    words = [sys.executable, "-c", HAMMER, str(connection.settings_dict["NAME"]), str(THREADS)]
    values = {**os.environ, "DJANGO_SETTINGS_MODULE": "r1web.settings", "PYTHONPATH": str(ROOT)}
    started = [
        subprocess.Popen(words, cwd=ROOT, env=values, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    told = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [0] * processes
    return [json.loads(text) for text in told]
