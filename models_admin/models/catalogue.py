"""Models that people ask for, their files, and where those lie or are on their way."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from models_admin.models.hosts import Host


class CatalogueModel(models.Model):
    """A model that people can ask for, whatever file and engine serve it."""

    key = models.CharField(_("model"), max_length=200, unique=True)
    name = models.CharField(_("name"), max_length=120)
    is_visible = models.BooleanField(_("visible"), default=True)
    # DeepSeek recommends 0.6 and 0.95 for R1; engines' own defaults differ from each other.
    temperature = models.FloatField(_("temperature"), default=0.6)
    top_p = models.FloatField(_("top-p"), default=0.95)
    is_restricted = models.BooleanField(_("only for those listed"), default=False)
    thinking_budget = models.PositiveIntegerField(_("thinking budget (tokens)"), null=True, blank=True)

    class Meta:
        verbose_name = _("model")
        verbose_name_plural = _("models")

    def __str__(self) -> str:
        return self.name


class ModelAccess(models.Model):
    """What a group or a person may do with a model: see it, wait for it while it is warm, or have it loaded.

    A restricted model is for those listed only; for others a row takes something away. A person's own row counts
    before his group's. `thinking_budget` (tokens) is this group's, in place of the model's.
    """

    class May(models.TextChoices):
        NOTHING = "nothing", _("not see it")
        SEE = "see", _("see it")
        USE = "use", _("ask it while it is warm")
        LOAD = "load", _("ask it and have it loaded")

    model = models.ForeignKey(CatalogueModel, models.CASCADE, related_name="access", verbose_name=_("model"))
    group = models.ForeignKey(
        "accounts.Group", models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("group")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, null=True, blank=True, related_name="+", verbose_name=_("user")
    )
    may = models.CharField(_("may"), max_length=10, choices=May, default=May.LOAD)
    thinking_budget = models.PositiveIntegerField(_("thinking budget (tokens)"), null=True, blank=True)

    class Meta:
        verbose_name = _("access")
        verbose_name_plural = _("access")
        constraints = [
            models.CheckConstraint(
                condition=Q(group__isnull=True, user__isnull=False) | Q(group__isnull=False, user__isnull=True),
                name="modelaccess_group_or_user",
            ),
            models.UniqueConstraint(fields=["model", "group"], name="modelaccess_one_per_group"),
            models.UniqueConstraint(fields=["model", "user"], name="modelaccess_one_per_user"),
        ]

    def __str__(self) -> str:
        return f"{self.model}: {self.group or self.user}"

    def clean(self) -> None:
        if (self.group is None) == (self.user is None):
            raise ValidationError({"group": _("Name a group or a person, one of them.")})


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
    """An artifact's files on a host. `path` is the host's own; `verified_at` set only after every digest was right.

    While they are being deleted `attempt` counts the orders to do so, the last one sent at `sent_at`; `reason` and
    `detail` are why the last one did not succeed, and stay where it was given up: then they are broken.
    """

    class State(models.TextChoices):
        ABSENT = "absent", _("absent")
        PULLING = "pulling", _("pulling")
        PAUSED = "paused", _("paused")
        VERIFYING = "verifying", _("verifying")
        READY = "ready", _("ready")
        BROKEN = "broken", _("broken")
        DELETING = "deleting", _("deleting")

    host = models.ForeignKey(Host, models.CASCADE, related_name="stored_artifacts", verbose_name=_("host"))
    artifact = models.ForeignKey(Artifact, models.PROTECT, related_name="stored_artifacts", verbose_name=_("artifact"))
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.ABSENT)
    path = models.CharField(_("path"), max_length=1000, blank=True)
    verified_at = models.DateTimeField(_("verified"), null=True)
    attempt = models.PositiveIntegerField(default=0, editable=False)
    sent_at = models.DateTimeField(null=True, editable=False)
    reason = models.CharField(max_length=40, blank=True, default="", editable=False)
    detail = models.CharField(max_length=300, blank=True, default="", editable=False)

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
        return f"{self.artifact} @ {self.host.name}"


class PullJob(models.Model):
    """One wish to have an artifact's files on a host, however many ask for it. Moves are guarded by `attempt`.

    `done_bytes` and `bytes_per_second` as last told; `seen_at` is renewed with each word of the agent. `then_warm`:
    what is deployed of these files on that host is loaded when they are there. `not_before`: no host is told of it
    until then; null = at once.
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
    then_warm = models.BooleanField(_("then warm"), default=False)
    not_before = models.DateTimeField(_("not before"), null=True)
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

    @property
    def is_held(self) -> bool:
        """It waits for its time: no host knows of it."""
        return self.state == self.State.PLANNED and self.not_before is not None and self.not_before > timezone.now()
