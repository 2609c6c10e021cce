"""The ledger and what is rolled up from it. No foreign keys: these rows outlive everything they name."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.utils.translation import gettext_lazy as _

APPEND_ONLY = "The ledger is append only; write a correcting entry."


class AppendOnly(models.QuerySet["LedgerEntry"]):
    """Rows that are added and read. The database refuses the rest too, by triggers."""

    def update(self, **kwargs: Any) -> int:
        raise TypeError(APPEND_ONLY)

    def delete(self) -> Any:
        raise TypeError(APPEND_ONLY)

    def bulk_update(self, *args: Any, **kwargs: Any) -> int:
        raise TypeError(APPEND_ONLY)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> list[LedgerEntry]:
        if kwargs.get("update_conflicts"):
            raise TypeError(APPEND_ONLY)
        return super().bulk_create(objs, *args, **kwargs)


class LedgerEntry(models.Model):
    """One segment's use of the box. Append only; no foreign keys, so it outlives everything it names.

    `key` is "<generation>/<segment>/<kind>": billing twice is impossible, not unlikely.
    Durations are milliseconds, money is in millionths of `currency`, by the price row that was valid then.
    `gpu_ms_measured` is its share of the cards while it ran: GPUs ÷ answers at work, summed up over its time.
    `waiting_ms` is until release, `loading_ms` what a load took of it. `unsent_thinking_tokens` are those of earlier
    turns that were not sent back.
    """

    key = models.CharField(max_length=120, unique=True)
    at = models.DateTimeField()
    ledger_id = models.UUIDField()
    group_name = models.CharField(max_length=80, blank=True)
    token_name = models.CharField(max_length=80, blank=True)
    model_key = models.CharField(max_length=200)
    host_name = models.CharField(max_length=80, blank=True)
    source = models.CharField(max_length=10)
    prompt_tokens = models.IntegerField(default=0)
    cached_tokens = models.IntegerField(default=0)
    thinking_tokens = models.IntegerField(default=0)
    answer_tokens = models.IntegerField(default=0)
    waiting_ms = models.BigIntegerField(default=0)
    loading_ms = models.BigIntegerField(default=0)
    prefill_ms = models.BigIntegerField(default=0)
    decode_ms = models.BigIntegerField(default=0)
    gpu_ms_charged = models.BigIntegerField(default=0)
    gpu_ms_measured = models.BigIntegerField(default=0)
    cost_micro = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    deployment_id = models.BigIntegerField(null=True)
    price_row_id = models.BigIntegerField(null=True)
    unsent_thinking_tokens = models.IntegerField(default=0)

    objects = AppendOnly.as_manager()

    class Meta:
        verbose_name = _("ledger entry")
        verbose_name_plural = _("ledger entries")
        indexes = [
            models.Index(fields=["ledger_id", "at"], name="ledger_by_person"),
            models.Index(fields=["at"], name="ledger_by_time"),
        ]

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise TypeError(APPEND_ONLY)
        super().save(*args, **{**kwargs, "force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError(APPEND_ONLY)


class Sums(models.Model):
    """A day (UTC) of a model from one kind of door, added up: tokens, milliseconds, millionths of `currency`.

    `requests` are the entries of kind "use". `waits` counts them by how long they waited (accounts/waits.py).
    """

    day = models.DateField()
    model_key = models.CharField(max_length=200)
    source = models.CharField(max_length=10)
    requests = models.BigIntegerField(default=0)
    prompt_tokens = models.BigIntegerField(default=0)
    cached_tokens = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    answer_tokens = models.BigIntegerField(default=0)
    unsent_thinking_tokens = models.BigIntegerField(default=0)
    waiting_ms = models.BigIntegerField(default=0)
    gpu_ms_charged = models.BigIntegerField(default=0)
    gpu_ms_measured = models.BigIntegerField(default=0)
    cost_micro = models.BigIntegerField(default=0)
    currency = models.CharField(max_length=3, blank=True)
    waits = models.JSONField(default=list)

    SUMS = (
        *("requests", "prompt_tokens", "cached_tokens", "thinking_tokens", "answer_tokens", "unsent_thinking_tokens"),
        *("waiting_ms", "gpu_ms_charged", "gpu_ms_measured", "cost_micro", "waits"),
    )

    class Meta:
        abstract = True


class UsageDay(Sums):
    """The ledger rolled up for a person."""

    ledger_id = models.UUIDField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["ledger_id", "day", "model_key", "source", "currency"], name="usageday_one_per_person_and_model"
            ),
        ]
        indexes = [models.Index(fields=["day"], name="usageday_by_day")]


class BoxDay(Sums):
    """The ledger rolled up for everybody together."""

    class Meta:
        verbose_name = _("usage of the box")
        verbose_name_plural = _("usage of the box")
        constraints = [
            models.UniqueConstraint(fields=["day", "model_key", "source", "currency"], name="boxday_one_per_model"),
        ]


class PersonDay(models.Model):
    """A person's day whatever the model: a quarter of the rows, for lists of everybody."""

    day = models.DateField()
    ledger_id = models.UUIDField()
    requests = models.BigIntegerField(default=0)
    thinking_tokens = models.BigIntegerField(default=0)
    answer_tokens = models.BigIntegerField(default=0)
    waiting_ms = models.BigIntegerField(default=0)
    gpu_ms_charged = models.BigIntegerField(default=0)

    SUMS = ("requests", "thinking_tokens", "answer_tokens", "waiting_ms", "gpu_ms_charged")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["day", "ledger_id"], name="personday_one_per_person")]


class FairDay(models.Model):
    """How alike a day was for those who waited: their number, and sum and sum of squares of their GPU milliseconds."""

    day = models.DateField(unique=True)
    people = models.PositiveIntegerField(default=0)
    gpu_ms = models.FloatField(default=0)
    gpu_ms_squares = models.FloatField(default=0)


class UsageMark(models.Model):
    """How far the ledger is rolled up: the last entry's id."""

    name = models.CharField(max_length=20, unique=True)
    ledger_entry_id = models.BigIntegerField(default=0)
