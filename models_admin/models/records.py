"""Prices of clouds, and who did what."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from models_admin.models.hosts import Engine


class AuditEntry(models.Model):
    """Who did what to which thing, before → after, and why. Never a prompt, never a key."""

    at = models.DateTimeField(_("at"), auto_now_add=True)
    actor = models.CharField(_("who"), max_length=150)
    verb = models.CharField(_("what"), max_length=40)
    object_kind = models.CharField(_("kind"), max_length=40)
    object_id = models.CharField(max_length=40)
    object_name = models.CharField(_("thing"), max_length=300)
    before = models.CharField(_("before"), max_length=200, blank=True)
    after = models.CharField(_("after"), max_length=200, blank=True)
    why = models.CharField(_("why"), max_length=300, blank=True)

    class Meta:
        verbose_name = _("audit entry")
        verbose_name_plural = _("audit entries")
        ordering = ("-at", "-pk")
        indexes = [models.Index(fields=["object_kind", "object_id", "at"], name="auditentry_by_object")]

    def __str__(self) -> str:
        return f"{self.actor}: {self.verb} {self.object_name}"


class PriceRow(models.Model):
    """What a cloud asks for a million tokens, in millionths of `currency`, in a time and a part of the day."""

    class Tier(models.TextChoices):
        ALWAYS = "always", _("always")
        PEAK = "peak", _("peak")
        OFF_PEAK = "off_peak", _("off-peak")

    engine_kind = models.CharField(_("kind"), max_length=30, choices=Engine.Kind, default=Engine.Kind.DEEPSEEK)
    model_name = models.CharField(_("model"), max_length=200)
    valid_from = models.DateTimeField(_("valid from"))
    valid_to = models.DateTimeField(_("valid to"), null=True, blank=True)
    tier = models.CharField(_("tier"), max_length=10, choices=Tier, default=Tier.ALWAYS)
    currency = models.CharField(_("currency"), max_length=3, default="USD")
    cached_micro = models.BigIntegerField(_("prompt from the cache"))
    prompt_micro = models.BigIntegerField(_("prompt"))
    output_micro = models.BigIntegerField(_("output"))

    class Meta:
        verbose_name = _("price")
        verbose_name_plural = _("prices")
        constraints = [
            models.UniqueConstraint(
                fields=["engine_kind", "model_name", "valid_from", "tier"], name="pricerow_one_per_moment"
            ),
            models.CheckConstraint(
                condition=Q(cached_micro__gte=0, prompt_micro__gte=0, output_micro__gte=0),
                name="pricerow_is_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.model_name} {self.valid_from:%Y-%m-%d} {self.tier}"
