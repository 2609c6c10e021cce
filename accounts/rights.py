"""The rights epoch: it moves whenever what a person may do has changed, and open sockets look at it."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.db.models.signals import m2m_changed, post_save, pre_save

from accounts.models import User

DECIDES = ("is_active", "password", "main_group_id", "is_staff", "is_superuser")


def bump(user_id: int) -> None:
    """Cuts the person's sockets within 2 s; they come back only with a session that still counts."""
    User.objects.filter(pk=user_id).update(rights_epoch=F("rights_epoch") + 1)


def may_use_cloud(user: User) -> bool:
    """Whether a person's questions may leave the house: the main group decides, and an administrator may."""
    return user.is_superuser or bool(user.main_group and user.main_group.may_use_cloud)


def watch() -> None:
    """Connects to every way in which a person's rights are saved."""
    pre_save.connect(_remember, sender=User, dispatch_uid="rights_remember")
    post_save.connect(_compare, sender=User, dispatch_uid="rights_compare")
    for through in (User.groups.through, User.user_permissions.through):
        m2m_changed.connect(_memberships, sender=through, dispatch_uid=f"rights_{through.__name__}")


def _remember(instance: User, **_: Any) -> None:
    instance.rights_before = User.objects.filter(pk=instance.pk).values(*DECIDES).first()  # type: ignore[attr-defined]


def _compare(instance: User, **_: Any) -> None:
    before = instance.__dict__.pop("rights_before", None)
    if before is not None and any(getattr(instance, name) != value for name, value in before.items()):
        bump(instance.pk)


def _memberships(instance: Any, action: str, pk_set: set[int] | None, reverse: bool, **_: Any) -> None:
    if action not in {"post_add", "post_remove", "pre_clear"}:
        return
    changed = pk_set or set() if reverse else {instance.pk}
    for user_id in changed:
        bump(user_id)
