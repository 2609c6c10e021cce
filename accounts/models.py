"""People, their tokens, their limits and the ledger. This room knows nobody above it."""

from __future__ import annotations

import uuid
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q
from django.utils import formats
from django.utils.translation import gettext_lazy as _

from accounts import quota_units
from accounts.ids import uuid7
from accounts.ledger_models import BoxDay as BoxDay
from accounts.ledger_models import FairDay as FairDay
from accounts.ledger_models import LedgerEntry as LedgerEntry
from accounts.ledger_models import PersonDay as PersonDay
from accounts.ledger_models import UsageDay as UsageDay
from accounts.ledger_models import UsageMark as UsageMark


class Group(models.Model):
    """One group pays for and weighs a person; weight 100 is an ordinary share of the line."""

    name = models.CharField(_("name"), max_length=80, unique=True)
    weight = models.PositiveIntegerField(_("weight"), default=100)
    may_use_cloud = models.BooleanField(_("may use the cloud"), default=False)

    class Meta:
        verbose_name = _("group")
        verbose_name_plural = _("groups")

    def __str__(self) -> str:
        return self.name


class User(AbstractUser):
    """A person. `ledger_id` stands for him in the ledger and dies with the row."""

    public_id = models.UUIDField(default=uuid7, unique=True, editable=False)
    ledger_id = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    main_group = models.ForeignKey(
        Group, models.PROTECT, null=True, blank=True, related_name="members", verbose_name=_("group")
    )
    language = models.CharField(_("language"), max_length=10, blank=True, default="")
    time_zone = models.CharField(_("time zone"), max_length=50, blank=True, default="")
    theme = models.CharField(_("theme"), max_length=10, blank=True, default="")
    rights_epoch = models.PositiveIntegerField(default=0, editable=False)


class SetupLink(models.Model):
    """The one-time link that makes the first admin; only its SHA-256 is kept."""

    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField(null=True)


class Invitation(models.Model):
    """A link by which so many people may still sign up by themselves, into a group; only its SHA-256 is kept."""

    digest = models.CharField(max_length=64, unique=True, editable=False)
    group = models.ForeignKey(
        Group, models.CASCADE, null=True, blank=True, related_name="invitations", verbose_name=_("group")
    )
    uses_left = models.PositiveIntegerField(_("people left"))
    expires_at = models.DateTimeField(_("expires"))
    made_by = models.CharField(_("made by"), max_length=150, editable=False)
    created_at = models.DateTimeField(_("made"), auto_now_add=True)

    class Meta:
        verbose_name = _("invitation")
        verbose_name_plural = _("invitations")

    def __str__(self) -> str:
        return f"{self.made_by} {self.created_at:%Y-%m-%d}"


class ApiToken(models.Model):
    """A script's key. Only its SHA-256 is kept; `prefix` lets its owner recognise it."""

    user = models.ForeignKey(User, models.CASCADE, related_name="api_tokens", verbose_name=_("user"))
    name = models.CharField(_("name"), max_length=80)
    prefix = models.CharField(_("begins with"), max_length=12, editable=False)
    digest = models.CharField(max_length=64, unique=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    expires_at = models.DateTimeField(_("expires"), null=True, blank=True)
    revoked_at = models.DateTimeField(_("revoked"), null=True, blank=True, editable=False)
    last_used_at = models.DateTimeField(_("last used"), null=True, blank=True, editable=False)
    keeps_conversations = models.BooleanField(_("keeps conversations"), default=False)
    is_background = models.BooleanField(_("may wait longer"), default=False)

    class Meta:
        verbose_name = _("API token")
        verbose_name_plural = _("API tokens")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"


class QuotaLimit(models.Model):
    """An amount of one unit that a subject may use in a window. No row = no limit.

    It applies from `starts_at` to `ends_at` (null: open). Limits of a group or of everyone count each person for
    himself where `is_each`, else all together. For its subject a row with `is_grant` adds its amount to the limits of
    the same unit, window and model instead of limiting. `running` has no window: what is open now is counted.
    """

    class SubjectKind(models.TextChoices):
        USER = "user", _("user")
        GROUP = "group", _("group")
        TOKEN = "token", _("token")
        EVERYONE = "everyone", _("everyone")

    class Unit(models.TextChoices):
        GPU_MS = "gpu_ms", _("GPU seconds")
        OUTPUT_TOKENS = "output_tokens", _("output tokens")
        REQUESTS = "requests", _("requests")
        COST_MICRO = "cost_micro", _("cloud money")
        RUNNING = "running", _("running at once")

    class Window(models.TextChoices):
        HOUR = "hour", _("hour")
        DAY = "day", _("day")
        WEEK = "week", _("week")
        MONTH = "month", _("month")

    subject_kind = models.CharField(max_length=10, choices=SubjectKind)
    subject_id = models.BigIntegerField(null=True, blank=True)
    model_key = models.CharField(max_length=200, blank=True, default="")
    unit = models.CharField(max_length=20, choices=Unit)
    window = models.CharField(max_length=10, choices=Window)
    time_zone = models.CharField(max_length=50, default="UTC")
    amount = models.BigIntegerField()
    is_each = models.BooleanField(_("each person for himself"), default=False)
    is_grant = models.BooleanField(_("adds to the limit"), default=False)
    starts_at = models.DateTimeField(_("from"), null=True, blank=True)
    ends_at = models.DateTimeField(_("until"), null=True, blank=True)
    note = models.CharField(_("note"), max_length=300, blank=True, default="")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(amount__gte=0), name="quotalimit_amount_not_negative"),
        ]
        indexes = [models.Index(fields=["subject_kind", "subject_id"], name="quotalimit_by_subject")]

    def __str__(self) -> str:
        amount = quota_units.for_people(self.unit, self.amount).normalize()
        told = f"{formats.number_format(amount, force_grouping=True)} {self.get_unit_display()}"
        return told if self.unit == self.Unit.RUNNING else f"{told} / {self.get_window_display()}"

    def clean(self) -> None:
        """A zone that nobody knows would refuse every question that the limit applies to."""
        try:
            ZoneInfo(self.time_zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            said = _("Unknown time zone. Name one as in Europe/Berlin, Asia/Shanghai or UTC.")
            raise ValidationError({"time_zone": said}) from None


class QuotaCounter(models.Model):
    """What of a limit is used and reserved in one of its windows, by one person or (`holder_id` 0) by all together.

    `debt` was carried over from the window before. `allowed` is the most that the limit and its grants allowed here;
    null until the first reservation.
    """

    limit = models.ForeignKey(QuotaLimit, models.CASCADE)
    holder_id = models.BigIntegerField(default=0)
    window_start = models.DateTimeField()
    window_end = models.DateTimeField()
    used = models.BigIntegerField(default=0)
    reserved = models.BigIntegerField(default=0)
    debt = models.BigIntegerField(default=0)
    allowed = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["limit", "holder_id", "window_start"], name="quotacounter_one_per_holder_and_window"
            ),
            models.CheckConstraint(condition=Q(reserved__gte=0), name="quotacounter_reserved_not_negative"),
        ]


class Reservation(models.Model):
    """An estimate put aside for one generation; `counter` is null where no limit applies."""

    class State(models.TextChoices):
        OPEN = "open"
        SETTLED = "settled"
        RELEASED = "released"
        EXPIRED = "expired"  # given back by the sweep; what is settled later is booked all the same

    generation_id = models.UUIDField()
    counter = models.ForeignKey(QuotaCounter, models.CASCADE, null=True)
    amount = models.BigIntegerField()
    actual = models.BigIntegerField(null=True)
    state = models.CharField(max_length=10, choices=State, default=State.OPEN)
    expires_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["generation_id", "counter"], name="reservation_one_per_counter"),
            models.UniqueConstraint(
                fields=["generation_id"],
                condition=Q(counter__isnull=True),
                name="reservation_one_without_counter",
            ),
        ]
        indexes = [
            models.Index(fields=["expires_at"], condition=Q(state="open"), name="reservation_open_by_expiry"),
        ]


class QuotaRequest(models.Model):
    """A person asks for more of a limit; `usage` is what he had used when he asked, as the admin reads it.

    `answer` is what the admin wrote him with his yes or no.
    """

    class State(models.TextChoices):
        OPEN = "open", _("open")
        GRANTED = "granted", _("granted")
        REFUSED = "refused", _("refused")

    user = models.ForeignKey(User, models.CASCADE, related_name="quota_requests", verbose_name=_("user"))
    limit = models.ForeignKey(QuotaLimit, models.CASCADE, related_name="requests", verbose_name=_("limit"))
    reason = models.CharField(_("reason"), max_length=500, blank=True, default="")
    usage = models.JSONField(default=dict)
    state = models.CharField(_("state"), max_length=10, choices=State, default=State.OPEN)
    granted = models.ForeignKey(QuotaLimit, models.SET_NULL, null=True, related_name="+", editable=False)
    created_at = models.DateTimeField(_("asked"), auto_now_add=True)
    closed_at = models.DateTimeField(null=True, editable=False)
    closed_by = models.CharField(max_length=150, blank=True, default="", editable=False)
    read_at = models.DateTimeField(null=True, editable=False)
    answer = models.CharField(max_length=300, blank=True, default="", editable=False)

    class Meta:
        verbose_name = _("request for more")
        verbose_name_plural = _("requests for more")
        constraints = [
            models.UniqueConstraint(
                fields=["user", "limit"], condition=Q(state="open"), name="quotarequest_one_open_per_limit"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.limit}"
