"""`{% filter close_up %}` around a sentence with a name in it."""

from __future__ import annotations

from django import template

from models_admin.family import sentences

register = template.Library()
register.filter("close_up", sentences.close_up, is_safe=True)
