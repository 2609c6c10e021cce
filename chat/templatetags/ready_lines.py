"""The lines about models that a person wished for and that are ready, on every page that has a place for them."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from accounts.models import User
from chat import ready_wishes

register = template.Library()


@register.inclusion_tag("chat/_ready.html", takes_context=True)
def ready_lines(context: Context) -> dict[str, Any]:
    user = context.get("user")
    return {"ready": ready_wishes.ready_for(user) if isinstance(user, User) else []}
