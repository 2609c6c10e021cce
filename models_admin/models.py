"""Machines: hosts, runner leases, engines, the catalogue and what is deployed."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7


class Host(models.Model):
    """A machine. The box on which the site runs is the first one.

    `inventory` is what its agent said of it at `seen_at` (shape: `inventory.Inventory`).
    """

    name = models.CharField(_("name"), max_length=80, unique=True)
    queue = models.CharField(max_length=80, unique=True)
    seen_at = models.DateTimeField(_("seen"), null=True)
    inventory = models.JSONField(default=dict, editable=False)
    is_draining = models.BooleanField(default=False)

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """The lease of one runner process, renewed every 3 s by the database's clock."""

    host = models.ForeignKey(Host, models.SET_NULL, null=True)
    name = models.CharField(max_length=120, unique=True)
    epoch = models.UUIDField(default=uuid.uuid4)
    seen_at = models.DateTimeField()
    is_draining = models.BooleanField(default=False)

    def __str__(self) -> str:
        return self.name


class Engine(models.Model):
    """A server that runs models. `secret` is encrypted; it is written by forms and never shown.

    `facts` is what the engine said of itself at `facts_at` (shape: `engine_facts.Facts`). `is_cloud`: what is asked
    of it leaves the house, and is somebody else's to read and to bill.
    """

    class Kind(models.TextChoices):
        OLLAMA = "ollama", "Ollama"
        VLLM = "vllm", "vLLM"
        SGLANG = "sglang", "SGLang"
        LLAMA_CPP = "llama.cpp", "llama.cpp"
        DEEPSEEK = "deepseek", "DeepSeek API"
        OPENAI_COMPATIBLE = "openai-compatible", _("OpenAI-compatible")

    host = models.ForeignKey(Host, models.PROTECT, related_name="engines", verbose_name=_("host"))
    kind = models.CharField(_("kind"), max_length=30, choices=Kind)
    base_url = models.CharField(_("address"), max_length=300)
    secret = models.TextField(blank=True, default="", editable=False)
    is_launched = models.BooleanField(_("launched by the site"), default=False)
    is_cloud = models.BooleanField(
        _("cloud"), default=False, help_text=_("What is asked of it leaves your machines: only for groups that may.")
    )
    build = models.CharField(_("build"), max_length=120, blank=True)
    facts = models.JSONField(default=dict, editable=False)
    facts_at = models.DateTimeField(_("asked"), null=True, editable=False)

    class Meta:
        verbose_name = _("engine")
        verbose_name_plural = _("engines")
        constraints = [
            models.UniqueConstraint(fields=["host", "base_url"], name="engine_one_per_address"),
            models.CheckConstraint(
                condition=~Q(kind="deepseek") | Q(is_cloud=True), name="engine_of_deepseek_is_a_cloud"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} · {self.base_url}"


class EngineChange(models.Model):
    """An engine is not what it was: another version, or another model behind the same name."""

    class What(models.TextChoices):
        VERSION = "version", _("version")
        MODEL = "model", _("model")
        CONTEXT = "context", _("context")
        SLOTS = "slots", _("slots")
        KIND = "kind", _("kind")

    engine = models.ForeignKey(Engine, models.CASCADE, related_name="changes", verbose_name=_("engine"))
    at = models.DateTimeField(_("at"), auto_now_add=True)
    what = models.CharField(_("what"), max_length=10, choices=What)
    before = models.CharField(_("before"), max_length=200, blank=True)
    after = models.CharField(_("after"), max_length=200, blank=True)

    class Meta:
        verbose_name = _("change of an engine")
        verbose_name_plural = _("changes of engines")
        ordering = ("-at",)

    def __str__(self) -> str:
        return f"{self.what}: {self.before} → {self.after}"


class CatalogueModel(models.Model):
    """A model that people can ask for, whatever file and engine serve it."""

    key = models.CharField(_("model"), max_length=200, unique=True)
    name = models.CharField(_("name"), max_length=120)
    is_visible = models.BooleanField(_("visible"), default=True)
    # DeepSeek recommends 0.6 and 0.95 for R1; engines' own defaults differ from each other.
    temperature = models.FloatField(_("temperature"), default=0.6)
    top_p = models.FloatField(_("top-p"), default=0.95)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.name


class Artifact(models.Model):
    """A model's files in one format and quantisation, pinned by digest where it is known.

    `upstream_digest` is what the same name means at its source now: shown where it differs, never followed.
    """

    class Source(models.TextChoices):
        OLLAMA = "ollama", "Ollama"
        HF = "hf", "Hugging Face"
        GGUF = "gguf", "GGUF"
        API = "api", "API"

    model = models.ForeignKey(CatalogueModel, models.CASCADE, related_name="artifacts")
    source = models.CharField(max_length=10, choices=Source, default=Source.API)
    ref = models.CharField(max_length=300)
    digest = models.CharField(max_length=100, blank=True, default="")
    quantisation = models.CharField(max_length=40, blank=True, default="")
    bytes = models.BigIntegerField(null=True)
    upstream_digest = models.CharField(max_length=100, blank=True, default="")
    upstream_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["source", "ref", "digest"], name="artifact_one_per_digest")]

    def __str__(self) -> str:
        return self.ref


class StoredArtifact(models.Model):
    """An artifact's files on a host. `path` is the host's own; `verified_at` set only after every digest was right."""

    class State(models.TextChoices):
        ABSENT = "absent", _("absent")
        PULLING = "pulling", _("pulling")
        PAUSED = "paused", _("paused")
        VERIFYING = "verifying", _("verifying")
        READY = "ready", _("ready")
        BROKEN = "broken", _("broken")

    host = models.ForeignKey(Host, models.CASCADE, related_name="stored_artifacts", verbose_name=_("host"))
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="stored_artifacts", verbose_name=_("artifact"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ABSENT)
    path = models.CharField(_("path"), max_length=1000, blank=True)
    verified_at = models.DateTimeField(_("verified"), null=True)

    class Meta:
        verbose_name = _("stored artifact")
        verbose_name_plural = _("stored artifacts")
        constraints = [
            models.UniqueConstraint(fields=["host", "artifact"], name="storedartifact_one_per_host"),
            models.CheckConstraint(
                condition=~Q(state="ready") | Q(verified_at__isnull=False), name="storedartifact_ready_is_verified"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.artifact} @ {self.host}"


class PullJob(models.Model):
    """One wish to have an artifact's files on a host, however many ask for it. Moves are guarded by `attempt`.

    `done_bytes` and `bytes_per_second` as last told; `seen_at` is renewed with each word of the agent.
    """

    class State(models.TextChoices):
        PLANNED = "planned", _("planned")
        RUNNING = "running", _("running")
        PAUSED = "paused", _("paused")
        DONE = "done", _("done")
        FAILED = "failed", _("failed")
        CANCELLED = "cancelled", _("cancelled")

    OPEN = (State.PLANNED, State.RUNNING, State.PAUSED)

    stored = models.ForeignKey(StoredArtifact, models.CASCADE, related_name="jobs", verbose_name=_("stored artifact"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.PLANNED)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    asked_by = models.JSONField(_("asked by"), default=list)
    total_bytes = models.BigIntegerField(_("bytes"), null=True)
    done_bytes = models.BigIntegerField(_("bytes there"), default=0)
    bytes_per_second = models.BigIntegerField(_("bytes/s"), default=0)
    stage = models.CharField(_("stage"), max_length=20, blank=True)
    reason = models.CharField(_("reason"), max_length=40, blank=True)
    detail = models.CharField(_("detail"), max_length=300, blank=True)
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)
    seen_at = models.DateTimeField(_("last word"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        verbose_name = _("pull")
        verbose_name_plural = _("pulls")
        constraints = [
            models.UniqueConstraint(
                fields=["stored"], condition=Q(state__in=["planned", "running", "paused"]), name="pulljob_one_open"
            ),
            models.CheckConstraint(
                condition=Q(state__in=["planned", "running", "paused"]) | Q(ended_at__isnull=False),
                name="pulljob_ended_has_an_end",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.stored}: {self.state}"


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
