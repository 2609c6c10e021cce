"""The form of a limit: one choice for each kind of subject, amounts in people's units."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.contrib import admin
from django.contrib.admin.widgets import AutocompleteSelect
from django.forms import DecimalField, ModelChoiceField, ModelForm
from django.utils.translation import gettext_lazy as _

from accounts import quota_units
from accounts.models import ApiToken, Group, QuotaLimit, User

LARGEST = 2**63 - 1
WHOLE = (QuotaLimit.Unit.OUTPUT_TOKENS, QuotaLimit.Unit.REQUESTS, QuotaLimit.Unit.RUNNING)


class AmountField(DecimalField):
    """Shown without needless zeros."""

    def __init__(self, **more: Any) -> None:
        super().__init__(min_value=0, max_digits=19, decimal_places=2, **more)

    def prepare_value(self, value: Any) -> Any:
        return f"{value.normalize():f}" if isinstance(value, Decimal) else value


class QuotaLimitForm(ModelForm):  # type: ignore[type-arg]
    """One choice for each kind of subject, named as the kind is; the chosen row's number is stored."""

    user = ModelChoiceField(
        User.objects.all(),
        label=_("Person"),
        required=False,
        widget=AutocompleteSelect(ApiToken._meta.get_field("user"), admin.site),
    )
    group = ModelChoiceField(Group.objects.order_by("name"), label=_("Group"), required=False)
    token = ModelChoiceField(
        ApiToken.objects.filter(revoked_at__isnull=True).order_by("name"), label=_("API token"), required=False
    )
    amount = AmountField(label=_("Amount"))

    class Meta:
        model = QuotaLimit
        fields = (
            *("subject_kind", "is_each", "model_key", "amount", "unit", "window", "time_zone"),
            *("is_grant", "starts_at", "ends_at", "note"),
        )
        labels = {
            "subject_kind": _("Applies to"),
            "is_each": _("Each person has the amount for himself"),
            "model_key": _("Model (empty: all)"),
            "unit": _("Unit"),
            "window": _("Per"),
            "time_zone": _("Time zone"),
            "is_grant": _("Adds to other limits"),
        }
        help_texts = {
            "is_each": _("For groups and everyone. Without it all of them share the amount."),
            "unit": _(
                "GPU seconds: what answers cost on your own cards. Cloud money: in the currency of the price list; "
                "when it is used up, your own models still answer."
            ),
            "window": _("May stay empty for what runs at once: that is counted now."),
            "time_zone": _("Days, weeks and months begin at midnight there."),
            "is_grant": _(
                "A grant: until its end the amount is added to the limits of the same unit, period and model. "
                "All other limits count together; the one that is used up first decides."
            ),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["window"].required = False  # of most units `clean` asks for it
        self.initial.setdefault(self.instance.subject_kind, self.instance.subject_id)
        if self.instance.pk is None:
            self.initial.setdefault("is_each", True)
        else:
            self.initial["amount"] = quota_units.for_people(self.instance.unit, self.instance.amount)

    def clean(self) -> Any:
        cleaned: dict[str, Any] = super().clean() or {}
        self._take_subject(cleaned)
        self._take_amount(cleaned)
        self._take_window(cleaned)
        start, end = cleaned.get("starts_at"), cleaned.get("ends_at")
        if start and end and end <= start:
            self.add_error("ends_at", _("It ends before it begins."))
        if cleaned.get("is_grant") and "ends_at" in cleaned and end is None:
            self.add_error("ends_at", _("A grant needs an end. To give more for good, raise the limit."))
        return cleaned

    def _take_subject(self, cleaned: dict[str, Any]) -> None:
        kind = cleaned.get("subject_kind")
        for name in ("user", "group", "token"):
            if name in cleaned and (cleaned[name] is not None) != (name == kind):
                self.add_error(name, _("Choose what the limit applies to, and nothing else."))
        chosen = cleaned.get(kind) if kind else None
        self.instance.subject_id = chosen.pk if chosen else None

    def _take_amount(self, cleaned: dict[str, Any]) -> None:
        """The row gets it in the table's unit."""
        unit, shown = cleaned.get("unit"), cleaned.get("amount")
        if unit is None or shown is None:
            return
        cleaned["amount"] = quota_units.for_tables(unit, shown)
        if unit in WHOLE and shown != shown.to_integral_value():
            self.add_error("amount", _("This unit has no halves: a whole number."))
        elif cleaned["amount"] > LARGEST:
            self.add_error("amount", _("That is more than can be counted."))

    def _take_window(self, cleaned: dict[str, Any]) -> None:
        if cleaned.get("window") or "window" not in cleaned:
            return
        if cleaned.get("unit") == QuotaLimit.Unit.RUNNING:
            cleaned["window"] = QuotaLimit.Window.DAY  # nothing reads it
        else:
            self.add_error("window", _("Say for how long the amount is."))
