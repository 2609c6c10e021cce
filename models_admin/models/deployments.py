"""What is deployed on engines, its measured costs, and who holds its slots."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from models_admin.models.catalogue import Artifact
from models_admin.models.hosts import Engine


class Deployment(models.Model):
    """An artifact on an engine with a context (tokens per slot) and a number of slots.

    `tokens_per_second` paces the stream to readers where the engine is too fast to be watched; null = as it comes.
    `expected_bytes` of memory by our own sum before loading, `measured_bytes` by the engine's word after it.

    A move to another state is guarded by `attempt`, which each wish to load or unload raises: what an older one tells
    is not heard. `stage`, `progress` (percent) and `seen_at` are the last word of whoever works on it, `reason` (a word
    of `warm_words`) why it is not warm. `failures` of answers in a row, the last one at `failed_at`.
    `idle_seconds` without an answer, and it is unloaded; null = it stays. `load_ms` is how long the last load took.
    """

    class State(models.TextChoices):
        STOPPED = "stopped", _("stopped")
        STARTING = "starting", _("starting")
        WARM = "warm", _("warm")
        DRAINING = "draining", _("draining")
        QUARANTINED = "quarantined", _("quarantined")
        FAILED = "failed", _("failed")

    OUT_OF_MEMORY = (State.STOPPED, State.FAILED, State.QUARANTINED)

    engine = models.ForeignKey(Engine, models.PROTECT, related_name="deployments", verbose_name=_("engine"))
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="deployments", verbose_name=_("artifact"))
    context_tokens = models.PositiveIntegerField(_("context"))
    slots = models.PositiveIntegerField(_("slots"))
    state = models.CharField(_("state"), max_length=12, choices=State, default=State.WARM)
    state_since = models.DateTimeField(_("since"), auto_now_add=True)
    tokens_per_second = models.PositiveIntegerField(_("paced to tokens/s"), null=True, blank=True)
    expected_bytes = models.BigIntegerField(_("memory expected"), null=True, editable=False)
    measured_bytes = models.BigIntegerField(_("memory measured"), null=True, editable=False)
    attempt = models.PositiveIntegerField(default=0, editable=False)
    stage = models.CharField(max_length=20, blank=True, editable=False)
    progress = models.PositiveSmallIntegerField(null=True, editable=False)
    seen_at = models.DateTimeField(null=True, editable=False)
    reason = models.CharField(max_length=40, blank=True, editable=False)
    detail = models.CharField(max_length=300, blank=True, editable=False)
    failures = models.PositiveSmallIntegerField(default=0, editable=False)
    load_failures = models.PositiveSmallIntegerField(default=0, editable=False)
    failed_at = models.DateTimeField(null=True, editable=False)
    load_ms = models.PositiveIntegerField(null=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    idle_seconds = models.PositiveIntegerField(_("unload when idle for (s)"), null=True, blank=True)

    class Meta:
        verbose_name = _("deployment")
        verbose_name_plural = _("deployments")
        constraints = [
            models.UniqueConstraint(fields=["engine", "artifact"], name="deployment_one_per_artifact"),
            models.CheckConstraint(condition=Q(slots__gte=1), name="deployment_has_a_slot"),
        ]

    def __str__(self) -> str:
        return f"{self.artifact} @ {self.engine}"


class Launch(models.Model):
    """How a host starts the server of a deployment itself: checked words of a form, never a line for a shell.

    `flags` are pairs of an allowed flag and its value ('' = none). `gpus` are the indices of cards that it may see, []
    = the site chooses when it starts. `log` is the end of what the server wrote, as its agent told it.
    """

    class Program(models.TextChoices):
        VLLM = "vllm", "vLLM"
        SGLANG = "sglang", "SGLang"
        LLAMA_CPP = "llama.cpp", "llama.cpp"

    deployment = models.OneToOneField(Deployment, models.CASCADE, related_name="launch", verbose_name=_("deployment"))
    program = models.CharField(_("program"), max_length=20, choices=Program)
    port = models.PositiveIntegerField(_("port"))
    flags = models.JSONField(_("flags"), default=list)
    gpus = models.JSONField(_("GPUs"), default=list)
    gpus_in_use = models.JSONField(default=list, editable=False)
    log = models.TextField(_("log"), blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("launch")
        verbose_name_plural = _("launches")

    def __str__(self) -> str:
        return f"{self.program} · {self.deployment}"


class Pin(models.Model):
    """A promise that a deployment stays in memory. `ends_at` null: until somebody takes the pin away."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="pins", verbose_name=_("deployment"))
    owner = models.CharField(_("pinned by"), max_length=150)
    reason = models.CharField(_("reason"), max_length=300)
    starts_at = models.DateTimeField(_("from"), default=timezone.now)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)

    class Meta:
        verbose_name = _("pin")
        verbose_name_plural = _("pins")

    def __str__(self) -> str:
        return f"{self.deployment}: {self.owner}"


class Measurement(models.Model):
    """How fast a deployment answered so many streams at once: tokens/s over all of them, ms to the first token."""

    deployment = models.ForeignKey(Deployment, models.CASCADE, related_name="measurements")
    at = models.DateTimeField(_("at"), auto_now_add=True)
    streams = models.PositiveIntegerField(_("streams"))
    tokens_per_second = models.FloatField(_("tokens/s"))
    first_token_ms = models.PositiveIntegerField(_("ms to the first token"))

    class Meta:
        verbose_name = _("measurement")
        verbose_name_plural = _("measurements")
        ordering = ("-at", "streams")

    def __str__(self) -> str:
        return f"{self.deployment}: {self.streams} × {self.tokens_per_second:.0f}"


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
