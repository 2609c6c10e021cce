"""How many requests for more wait for an answer, for those who answer them."""

from __future__ import annotations

from django import template
from django.template import Context

from accounts import quota_requests
from accounts.models import User

register = template.Library()


@register.simple_tag(takes_context=True)
def open_requests(context: Context) -> int:
    """0 for everybody else, without a look into the table."""
    user = context.get("user")
    return quota_requests.count_open() if isinstance(user, User) and quota_requests.may_answer(user) else 0
