"""What is deployed on engines, its measured costs, and who holds its slots."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from models_admin.models.catalogue import Artifact
from models_admin.models.hosts import Engine


class Deployment(models.Model):
    """An artifact on an engine with a context (tokens per slot) and a number of slots.

    `tokens_per_second` paces the stream to readers where the engine is too fast to be watched; null = as it comes.
    `expected_bytes` of memory by our own sum before loading, `measured_bytes` by the engine's word after it.
    """

    class State(models.TextChoices):
        STOPPED = "stopped", _("stopped")
        STARTING = "starting", _("starting")
        WARM = "warm", _("warm")
        DRAINING = "draining", _("draining")
        QUARANTINED = "quarantined", _("quarantined")
        FAILED = "failed", _("failed")

    engine = models.ForeignKey(Engine, models.PROTECT, related_name="deployments", verbose_name=_("engine"))
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="deployments", verbose_name=_("artifact"))
    context_tokens = models.PositiveIntegerField(_("context"))
    slots = models.PositiveIntegerField(_("slots"))
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.WARM)
    state_since = models.DateTimeField(_("since"), auto_now_add=True)
    tokens_per_second = models.PositiveIntegerField(_("paced to tokens/s"), null=True, blank=True)
    expected_bytes = models.BigIntegerField(_("memory expected"), null=True, editable=False)
    measured_bytes = models.BigIntegerField(_("memory measured"), null=True, editable=False)

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.UniqueConstraint(fields=["engine", "artifact"], name="deployment_one_per_artifact"),
            models.CheckConstraint(condition=Q(slots__gte=1), name="deployment_has_a_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.artifact} @ {self.engine}"


class RateCard(models.Model):
    """Measured cost per token at reference load, µs; the newest row prices and predicts."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="rate_cards")
    valid_from = models.DateTimeField(auto_now_add=True)
    prefill_us_per_token = models.PositiveIntegerField()
    decode_us_per_token = models.PositiveIntegerField()
    load_ms = models.PositiveIntegerField(default=0)


class SlotLease(models.Model):
    """One of a deployment's slots, held by one generation: oversubscription is impossible.

    `holder` is opaque here: this room does not know what a generation is.
    """

    deployment = models.ForeignKey(Deployment, models.PROTECT, related_name="slot_leases")
    number = models.PositiveIntegerField()
    holder = models.UUIDField(unique=True, default=uuid7)
    since = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(F("deployment"), F("number"), name="slotlease_one_holder_per_slot"),
            models.CheckConstraint(condition=Q(number__gte=1), name="slotlease_counts_from_one"),
        ]
