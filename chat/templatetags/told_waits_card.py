"""How far off told waits were, as a card of the usage board."""

from __future__ import annotations

from django import template
from django.utils.translation import gettext as _

from accounts import usage_words
from accounts.usage_board import Fact
from chat import told_waits

register = template.Library()


@register.simple_tag
def told_waits_card() -> Fact:
    name, seen = _("Told waits, off by"), told_waits.of_last()
    if seen is None:
        return Fact(name, "–", _("nobody has been told a time yet"))
    note = _("median of the last %(count)d, from the middle of the range told first; nine of ten below %(p90)s; "
             "%(held)d %% began within the range")  # fmt: skip
    words = {"count": seen.count, "p90": usage_words.seconds(seen.p90_ms), "held": round(100 * seen.held)}
    return Fact(name, usage_words.seconds(seen.median_ms), note % words)
