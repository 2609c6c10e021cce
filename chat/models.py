"""Conversations, messages and the generations that write them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from accounts.ids import uuid7
from accounts.models import ApiToken
from models_admin.models import Deployment, PriceRow, Worker


class Conversation(models.Model):
    """A tree of messages. Scripts' calls are conversations too, with source `api`, and are purged.

    `is_local_only`: nothing of it may be sent to a cloud. `is_named`: its title was typed, or made in idle time by the
    conversation that `titles` it; it stays.
    """

    class Source(models.TextChoices):
        WEB = "web", _("page")
        API = "api", _("API")
        IDLE = "idle", _("idle time")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="conversations", verbose_name=_("user")
    )
    title = models.CharField(_("title"), max_length=200, blank=True)
    model_key = models.CharField(_("model"), max_length=200, blank=True)
    source = models.CharField(_("source"), max_length=4, choices=Source, default=Source.WEB)
    is_local_only = models.BooleanField(_("local only"), default=False)
    is_named = models.BooleanField(default=False, editable=False)
    titles = models.ForeignKey("self", models.CASCADE, null=True, related_name="+", editable=False)
    active_leaf = models.ForeignKey("Message", models.SET_NULL, null=True, related_name="+")
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    last_activity_at = models.DateTimeField(_("last activity"), auto_now_add=True)
    deleted_at = models.DateTimeField(_("deleted"), null=True)

    class Meta:
        verbose_name = _("conversation")
        verbose_name_plural = _("conversations")
        indexes = [
            models.Index(
                F("user"),
                F("last_activity_at").desc(),
                F("id"),
                condition=Q(deleted_at__isnull=True),
                name="conversation_list",
            ),
            models.Index(fields=["deleted_at"], condition=Q(deleted_at__isnull=False), name="conversation_trash"),
            models.Index(
                fields=["last_activity_at"],
                condition=Q(is_named=False, source="web"),
                name="conversation_untitled",
            ),
            models.Index(fields=["id"], condition=Q(source="idle"), name="conversation_idle"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Message(models.Model):
    """One turn. `thinking` is a channel of its own and is never sent back to a model."""

    class Role(models.TextChoices):
        SYSTEM = "system"
        USER = "user"
        ASSISTANT = "assistant"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    conversation = models.ForeignKey(Conversation, models.CASCADE, related_name="messages")
    parent = models.ForeignKey("self", models.CASCADE, null=True, related_name="children")
    role = models.CharField(max_length=10, choices=Role)
    text = models.TextField(blank=True, default="")
    thinking = models.TextField(blank=True, default="")
    thinking_ms = models.PositiveIntegerField(null=True)
    model_key = models.CharField(max_length=200, blank=True, default="")
    finish = models.CharField(max_length=20, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(role__in=["system", "user", "assistant"]), name="message_role"),
            models.CheckConstraint(condition=~Q(parent=F("id")), name="message_not_its_own_parent"),
        ]
        indexes = [models.Index(fields=["conversation", "created_at"], name="message_by_conversation")]


class Generation(models.Model):
    """One wish for an answer. Its moves are guarded updates in `generation` and `scheduling`; nobody calls save().

    `attempt` fences: every write of a runner names the attempt it was given. Times are the database's.

    `estimate_gpu_ms` is what it was expected to cost when asked, `gpu_ms` what it is charged so far (all attempts), by
    the rates (µs per token) fixed at release, as a cloud's `price_row` is. `told_low_ms` and `told_high_ms` are the
    wait that was told first.

    `text_from` and `thinking_from` are the characters that its attempt began with; tokens are those of all attempts.
    `thinking_end`: what ended the thought, where it was not the model.
    """

    class ThinkingEnd(models.TextChoices):
        ASKED = "asked"
        BUDGET = "budget"

    class State(models.TextChoices):
        WAITING = "waiting", _("waiting")
        RELEASED = "released", _("released")
        RUNNING = "running", _("running")
        DONE = "done", _("done")
        STOPPED = "stopped", _("stopped")
        FAILED = "failed", _("failed")

    LIVE = (State.WAITING, State.RELEASED, State.RUNNING)

    class QueueClass(models.TextChoices):
        INTERACTIVE = "interactive"
        SCRIPT = "script"
        BACKGROUND = "background"
        IDLE = "idle"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="generations", verbose_name=_("user")
    )
    message = models.ForeignKey(Message, models.SET_NULL, null=True, related_name="generations")
    token = models.ForeignKey(ApiToken, models.SET_NULL, null=True)
    client_key = models.UUIDField()
    request_digest = models.CharField(max_length=64)
    model_key = models.CharField(_("model"), max_length=200)
    options = models.JSONField(default=dict)
    queue_class = models.CharField(max_length=12, choices=QueueClass, default=QueueClass.INTERACTIVE)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.WAITING)
    reason = models.CharField(_("reason"), max_length=40, blank=True, default="")
    wants_stop = models.BooleanField(default=False)
    attempt = models.PositiveIntegerField(_("attempt"), default=0)
    worker = models.ForeignKey(Worker, models.SET_NULL, null=True)
    deployment = models.ForeignKey(Deployment, models.SET_NULL, null=True, verbose_name=_("deployment"))
    wants_answer = models.BooleanField(default=False)
    estimate_gpu_ms = models.BigIntegerField(default=0)
    estimate_tokens = models.PositiveIntegerField(default=0)
    gpu_ms = models.BigIntegerField(default=0)
    prefill_us = models.PositiveIntegerField(default=0)
    decode_us = models.PositiveIntegerField(default=0)
    price_row = models.ForeignKey(PriceRow, models.PROTECT, null=True, related_name="+", db_index=False)
    told_low_ms = models.BigIntegerField(null=True)
    told_high_ms = models.BigIntegerField(null=True)
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)
    released_at = models.DateTimeField(_("released"), null=True)
    started_at = models.DateTimeField(_("started"), null=True)
    first_token_at = models.DateTimeField(_("first token"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)
    last_seq = models.PositiveIntegerField(default=0)
    text_from = models.PositiveIntegerField(default=0)
    thinking_from = models.PositiveIntegerField(default=0)
    thinking_end = models.CharField(max_length=10, choices=ThinkingEnd, blank=True, default="")
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    thinking_tokens = models.PositiveIntegerField(default=0)
    answer_tokens = models.PositiveIntegerField(default=0)

    class Meta:
        verbose_name = _("generation")
        verbose_name_plural = _("generations")
        constraints = [
            models.UniqueConstraint(fields=["user", "client_key"], name="generation_one_per_client_key"),
            models.UniqueConstraint(
                fields=["message"],
                condition=Q(state__in=["waiting", "released", "running"]),
                name="generation_one_live_per_message",
            ),
            models.CheckConstraint(
                condition=Q(state__in=["waiting", "released", "running"], ended_at__isnull=True)
                | Q(state__in=["done", "stopped", "failed"], ended_at__isnull=False),
                name="generation_ended_has_a_time",
            ),
        ]
        indexes = [
            models.Index(fields=["created_at", "id"], condition=Q(state="waiting"), name="generation_waiting"),
            models.Index(
                fields=["worker"], condition=Q(state__in=["released", "running"]), name="generation_held_by_worker"
            ),
            models.Index(
                fields=["user", "created_at"],
                condition=Q(state__in=["waiting", "released", "running"]),
                name="generation_live_by_user",
            ),
            models.Index(fields=["-id"], condition=Q(told_high_ms__isnull=False), name="generation_told"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Segment(models.Model):
    """One attempt at a generation on one deployment, with what it used.

    `text_from` and `thinking_from` are the characters that earlier attempts had written. `began_at` and `ended_at`:
    when its engine was read.
    """

    generation = models.ForeignKey(Generation, models.CASCADE, related_name="segments")
    attempt = models.PositiveIntegerField()
    deployment = models.ForeignKey(Deployment, models.SET_NULL, null=True)
    prompt_tokens = models.PositiveIntegerField(default=0)
    cached_tokens = models.PositiveIntegerField(default=0)
    thinking_tokens = models.PositiveIntegerField(default=0)
    answer_tokens = models.PositiveIntegerField(default=0)
    gpu_ms = models.BigIntegerField(default=0)
    text_from = models.PositiveIntegerField(default=0)
    thinking_from = models.PositiveIntegerField(default=0)
    finish = models.CharField(max_length=40)
    began_at = models.DateTimeField(null=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["generation", "attempt"], name="segment_one_per_attempt"),
        ]
        indexes = [models.Index(fields=["deployment", "ended_at"], name="segment_by_deployment")]


class ReadyWish(models.Model):
    """A person wants to be told when a model is warm. `told_at` null: it was not warm since."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="ready_wishes")
    model_key = models.CharField(max_length=200)
    created_at = models.DateTimeField(auto_now_add=True)
    told_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "model_key"], name="readywish_one_per_model")]


class StrandedModel(models.Model):
    """A model that people wait for and that nothing can take any more; `since` when, by the database's clock."""

    model_key = models.CharField(max_length=200, unique=True)
    since = models.DateTimeField(db_default=Now())


class LengthSeen(models.Model):
    """How long answers of a model were, for a person (null: for everybody), by `think`: a moving mean of tokens.

    `spread` is the moving mean of the distance from it, `seen` how many answers went in.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, null=True, related_name="+")
    model_key = models.CharField(max_length=200)
    think = models.CharField(max_length=10)
    tokens = models.FloatField()
    spread = models.FloatField(default=0)
    seen = models.PositiveIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["user", "model_key", "think"], name="lengthseen_one_per_person_and_model"),
            models.UniqueConstraint(
                fields=["model_key", "think"], condition=Q(user__isnull=True), name="lengthseen_one_per_model"
            ),
        ]


class Line(models.Model):
    """Who leads the line: a lease by the database's clock, with `term` as fence. `tags` is its memory, saved."""

    name = models.CharField(max_length=20, unique=True)
    leader = models.UUIDField(null=True)
    term = models.PositiveIntegerField(default=0)
    until = models.DateTimeField(null=True)
    tags = models.JSONField(default=dict)
