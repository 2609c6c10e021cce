"""Machines, runner leases, and engines with what was seen of them."""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

LOCAL_HOST = "local"


class Host(models.Model):
    """A machine. The box on which the site runs is the first one.

    `inventory` is what its agent said of it at `seen_at` (shape: `inventory.Inventory`). `address` is where its
    engines are reached from the site's machine; '' = loopback, they share it. `secret` (encrypted) is known to its
    agent too: the keys of engines that it launches derive from it. `broker_digest`: SHA-256 of its password for Redis.
    `cut_off`: why it is gone, whatever it said last (a word of `hosts`): stopped until it speaks again, or the site
    closed Redis to it until it joins again.
    """

    name = models.CharField(_("name"), max_length=80, unique=True)
    queue = models.CharField(max_length=80, unique=True)
    seen_at = models.DateTimeField(_("seen"), null=True)
    inventory = models.JSONField(default=dict, editable=False)
    is_draining = models.BooleanField(default=False)
    address = models.CharField(_("address"), max_length=60, blank=True, default="")
    memory_limit_bytes = models.BigIntegerField(_("memory for models"), null=True, blank=True)
    secret = models.TextField(blank=True, default="", editable=False)
    broker_digest = models.CharField(max_length=64, blank=True, default="", editable=False)
    cut_off = models.CharField(max_length=20, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("host")
        verbose_name_plural = _("hosts")

    def __str__(self) -> str:
        """As people read it; the first host has no name that anybody chose."""
        return gettext("the site's machine") if self.name == LOCAL_HOST else self.name


class JoinCode(models.Model):
    """Lets one machine join as a host, once. Only its digest is kept."""

    digest = models.CharField(max_length=64, unique=True)
    made_by = models.CharField(_("made by"), max_length=150)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"))
    used_at = models.DateTimeField(_("used"), null=True)
    host = models.ForeignKey(Host, models.SET_NULL, null=True, related_name="join_codes", verbose_name=_("host"))

    class Meta:
        verbose_name = _("join code")
        verbose_name_plural = _("join codes")

    def __str__(self) -> str:
        return f"{self.made_by} {self.created_at:%Y-%m-%d}"


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
