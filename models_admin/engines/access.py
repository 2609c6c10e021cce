"""Who may do what with which model: not see it, see it, ask it while it is warm, or have it loaded.

The one door: page, socket, scripts and the line ask here. A person's own row counts before his group's; where neither
is listed a restricted model is not there for him, and any other is his to load. An administrator may do everything.
Whether a model is visible at all is asked apart, of the catalogue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from django.db.models import Q

from accounts.models import User
from models_admin.backends.capabilities import CAPABILITIES
from models_admin.models import CatalogueModel, Deployment, ModelAccess

May = ModelAccess.May
State = Deployment.State
NO_MODEL: Final = "no_model"
MAY_NOT_ASK: Final = "may_not_ask"
MAY_NOT_LOAD: Final = "may_not_load"
_RANK: Final[dict[str, int]] = {May.NOTHING: 0, May.SEE: 1, May.USE: 2, May.LOAD: 3}


@dataclass(frozen=True)
class Access:
    """What one person may do with each model of the catalogue, by its key."""

    _may: Mapping[str, str]

    def sees(self, model_key: str) -> bool:
        return self._has(model_key, May.SEE)

    def asks(self, model_key: str) -> bool:
        """At least while it is warm."""
        return self._has(model_key, May.USE)

    def loads(self, model_key: str) -> bool:
        return self._has(model_key, May.LOAD)

    def _has(self, model_key: str, least: str) -> bool:
        return _RANK[self._may.get(model_key, May.NOTHING)] >= _RANK[least]


def of(user: User, model_key: str = "") -> Access:
    """Of `model_key` alone where it is given."""
    models = CatalogueModel.objects.filter(key=model_key) if model_key else CatalogueModel.objects.all()
    rows = list(models.values_list("pk", "key", "is_restricted"))
    if user.is_superuser:
        return Access({key: May.LOAD for _pk, key, _is_restricted in rows})
    listed = Q(user=user) | Q(group__isnull=False, group=user.main_group_id)
    told = ModelAccess.objects.filter(listed, model__in=[pk for pk, _key, _is_restricted in rows])
    own = dict(told.filter(user__isnull=False).values_list("model", "may"))
    of_group = dict(told.filter(user__isnull=True).values_list("model", "may"))
    return Access({key: own.get(pk) or of_group.get(pk) or _unlisted(is_it) for pk, key, is_it in rows})


def why_not(user: User, model_key: str) -> str:
    """'' where he may ask it now, else what is in his way: one of the three codes above."""
    found = of(user, model_key)
    if not found.sees(model_key):
        return NO_MODEL
    if not found.asks(model_key):
        return MAY_NOT_ASK
    return MAY_NOT_LOAD if not found.loads(model_key) and costs_a_load(model_key) else ""


def costs_a_load(model_key: str) -> bool:
    """Whether whoever asks it now has it loaded: the site can, and it is neither in memory nor on its way there."""
    rows = Deployment.objects.filter(artifact__model__key=model_key)
    if rows.filter(state__in=[State.WARM, State.STARTING]).exists():
        return False
    loading = [kind for kind, can in CAPABILITIES.items() if can.load]
    return rows.filter(Q(launch__isnull=False) | Q(engine__kind__in=loading)).exists()


def may_any_load(model_key: str, people: Iterable[int]) -> bool:
    """Whether one of these people may have it loaded."""
    users = User.objects.filter(pk__in=set(people)).order_by("pk")
    return any(of(user, model_key).loads(model_key) for user in users)


def thinking_budget(user: User, model_key: str) -> int | None:
    """Tokens of thinking: a person's own row before his group's before the model's; None = without a limit."""
    mine = Q(user=user) | Q(group=user.main_group_id, group__isnull=False)
    rows = ModelAccess.objects.filter(mine, model__key=model_key, thinking_budget__isnull=False)
    best = max(rows, key=lambda access: access.user_id is not None, default=None)
    if best is not None:
        return best.thinking_budget
    return CatalogueModel.objects.filter(key=model_key).values_list("thinking_budget", flat=True).first()


def is_kept_from_some(model: CatalogueModel) -> bool:
    """Whether there may be people who do not see it."""
    return model.is_restricted or model.access.filter(may=May.NOTHING).exists()


def _unlisted(is_restricted: bool) -> str:
    return May.NOTHING if is_restricted else May.LOAD
