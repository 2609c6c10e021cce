"""The box in one glance, at the foot of the sidebar of every page."""

from __future__ import annotations

from typing import Any

from django import template
from django.template import Context

from chat import box

register = template.Library()


@register.inclusion_tag("chat/_box_glance.html", takes_context=True)
def box_glance(context: Context) -> dict[str, Any]:
    request = context.get("request")
    match = request.resolver_match if request else None
    return {"glance": box.glance(), "is_here": bool(match and match.url_name == "box")}
