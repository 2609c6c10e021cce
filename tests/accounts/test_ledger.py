from __future__ import annotations

import uuid

import pytest
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts import ledger
from accounts.ledger import Use
from accounts.models import LedgerEntry
from tests.accounts.racing import race


def use(tokens: int = 7) -> Use:
    person = uuid.UUID(int=1)
    return Use(key="g/1/use", at=timezone.now(), ledger_id=person, model_key="m", source="web", answer_tokens=tokens)


@pytest.mark.django_db
def test_the_same_use_is_written_once_and_stays_as_it_was() -> None:
    ledger.record(use(7))
    ledger.record(use(8))
    assert LedgerEntry.objects.get().answer_tokens == 7


@pytest.mark.django_db
def test_an_entry_can_neither_be_changed_nor_deleted() -> None:
    ledger.record(use())
    entry = LedgerEntry.objects.get()
    for deed in (
        entry.save,
        entry.delete,
        LedgerEntry.objects.all().delete,
        lambda: LedgerEntry.objects.update(answer_tokens=0),
        lambda: LedgerEntry.objects.bulk_update([entry], ["answer_tokens"]),
    ):
        with pytest.raises(TypeError):
            deed()
    assert LedgerEntry.objects.get().answer_tokens == 7


@pytest.mark.concurrent
@pytest.mark.django_db
@pytest.mark.parametrize(
    "deed", ["UPDATE accounts_ledgerentry SET answer_tokens = 0", "DELETE FROM accounts_ledgerentry"]
)
def test_the_database_itself_refuses(deed: str) -> None:
    ledger.record(use())
    with pytest.raises(DatabaseError, match="append only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(deed)
    assert LedgerEntry.objects.get().answer_tokens == 7


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_eight_that_write_one_key_at_once_one_does() -> None:
    race(lambda number: ledger.record(use(number)), threads=8)
    assert LedgerEntry.objects.count() == 1
