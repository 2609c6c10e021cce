"""What a person's limits say about the chosen model, above the message field."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from accounts.models import User
from chat import quota_wall

register = template.Library()


@register.inclusion_tag("chat/_quota.html", takes_context=True)
def quota_lines(context: Context, model_key: str) -> dict[str, Any]:
    user, conversation = context.get("user"), context.get("conversation")
    if not isinstance(user, User):
        return {}
    of = conversation.pk if conversation else None
    return {"quota": quota_wall.view(user, model_key or "", conversation_id=of), "csrf_token": context["csrf_token"]}
