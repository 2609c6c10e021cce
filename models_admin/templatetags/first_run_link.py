"""Whether the admin's index leads to the set-up of the box."""

from __future__ import annotations

from django import template

from accounts.models import User
from models_admin.first import first_run

register = template.Library()


@register.simple_tag
def is_to_be_set_up(user: User) -> bool:
    """For administrators, until they are through with it."""
    return user.is_superuser and not first_run.is_finished()
