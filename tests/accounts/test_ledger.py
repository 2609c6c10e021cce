from __future__ import annotations

import uuid

import pytest
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
def test_an_entry_cannot_be_deleted() -> None:
    ledger.record(use())
    with pytest.raises(TypeError):
        LedgerEntry.objects.get().delete()


@pytest.mark.concurrent
@pytest.mark.django_db(transaction=True)
def test_of_eight_that_write_one_key_at_once_one_does() -> None:
    race(lambda number: ledger.record(use(number)), threads=8)
    assert LedgerEntry.objects.count() == 1
