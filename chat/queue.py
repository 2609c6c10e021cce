"""Sends work to runners by task name, after the transaction that decided it. The sweep sends a lost message again."""

from __future__ import annotations

import uuid
from functools import partial

from django.db import transaction

from models_admin.hosts import messages

RUN_GENERATION = "chat.run_generation"


def run_generation(generation_id: uuid.UUID, attempt: int) -> None:
    transaction.on_commit(partial(messages.send, RUN_GENERATION, [str(generation_id), attempt]))
