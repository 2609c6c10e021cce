"""Sends loads, unloads and measurements to a runner, who speaks to engines the way answers do. Hints, no truths."""

from __future__ import annotations

from functools import partial

from django.db import transaction

from models_admin.hosts import messages

WARM_UP = "models_admin.warm_up"
UNLOAD = "models_admin.unload"
MEASURE = "models_admin.measure"
DELETE_MODEL = "models_admin.delete_model"
ATTACH_FOUND = "models_admin.attach_found"
ADD_AND_PULL = "models_admin.add_and_pull"


def warm_up(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(messages.send, WARM_UP, [deployment, attempt]))


def unload(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(messages.send, UNLOAD, [deployment, attempt]))


def measure(deployment: int, attempt: int) -> None:
    transaction.on_commit(partial(messages.send, MEASURE, [deployment, attempt]))


def delete_model(stored: int) -> None:
    transaction.on_commit(partial(messages.send, DELETE_MODEL, [stored]))


def attach_found() -> None:
    transaction.on_commit(partial(messages.send, ATTACH_FOUND, []))


def add_and_pull() -> None:
    transaction.on_commit(partial(messages.send, ADD_AND_PULL, []))
