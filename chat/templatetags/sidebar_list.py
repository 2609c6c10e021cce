"""The list of conversations in the sidebar of pages whose views know nothing of conversations."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from accounts.models import User
from chat import page

register = template.Library()


@register.inclusion_tag("chat/_conversations.html", takes_context=True)
def sidebar_list(context: Context) -> dict[str, Any]:
    user = context.get("user")
    return {"groups": page.groups(user) if isinstance(user, User) else [], "conversation": None}
