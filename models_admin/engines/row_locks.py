"""Deployments are locked by primary key, whoever moves several of them: in one order nobody waits in a circle.

`no_key` everywhere: rows that point to a deployment come and go meanwhile, and one mode alone never has to be raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import OperationalError, connection, transaction
from django.db.models import QuerySet

from models_admin.models import Deployment

log = logging.getLogger(__name__)
Result = TypeVar("Result")
TRIES = 3
# PostgreSQL's words for a deadlock, a lock that was not given in time, and a transaction that has to be done again.
CONFLICTS = {"40P01", "55P03", "40001"}


def lock(rows: QuerySet[Deployment]) -> list[int]:
    """Their ids; until the end of the open transaction nobody else moves them."""
    ours = rows.select_for_update(of=("self",), no_key=True).only("pk").order_by("pk")
    return [row.pk for row in ours]


def move(rows: QuerySet[Deployment], **values: Any) -> int:
    """Update them all at once; how many there were."""
    with transaction.atomic():
        found = lock(rows)
        return rows.filter(pk__in=found).update(**values) if found else 0


def again_after_conflict(work: Callable[[], Result]) -> Result:
    """What a person asked for, up to three times where the database ended it in favour of somebody else.

    `work` is a whole transaction: inside another one there is nothing left to go on with, and it is called once.
    """
    for _ in range(TRIES - 1):
        try:
            return work()
        except OperationalError as error:
            code = getattr(error.__cause__, "sqlstate", None)
            if code not in CONFLICTS or connection.in_atomic_block:
                raise
            log.info("done again after a conflict in the database (%s)", code)
    return work()
