"""The promises of the drivers' contract in words, for people: the report of a probe and the table in the docs."""

from __future__ import annotations

from typing import Final

from django.utils.functional import Promise as LazyText
from django.utils.translation import gettext_lazy as _

PROMISE_WORDS: Final[dict[str, str | LazyText]] = {
    "health": _("says whether it is ready"),
    "version": _("says its version"),
    "models": _("lists its models"),
    "inspect": _("tells what a model is"),
    "load_told": _("tells how many answers run"),
    "memory": _("tells what its models take of the memory"),
    "balance": _("tells the balance of the account"),
    "thinking": _("thinking comes apart from the answer"),
    "usage": _("tokens are counted, thinking apart"),
    "count_prompt": _("counts a prompt beforehand"),
    "control_tokens": _("control tokens that people type stay plain text"),
    "length": _("says that the limit cut an answer off"),
    "stop": _("ends at a stop string"),
    "seed": _("gives the same answer for the same seed"),
    "json_object": _("answers in JSON"),
    "any_schema": _("answers in JSON by a schema"),
    "tools": _("takes tools"),
    "effort": _("takes an effort of thinking"),
    "thinking_off": _("answers without thinking"),
    "continue_answer": _("goes on in a broken-off answer"),
    "continue_thinking": _("goes on in a broken-off thought"),
    "end_thinking": _("ends the thinking and answers"),
    "cancel": _("frees the slot when the reader leaves"),
    "model_missing": _("says that a model is not there"),
    "context_too_long": _("says that a prompt is too long"),
    "wrong_key": _("refuses a wrong key"),
    "overloaded": _("says that its queue is full"),
    "out_of_credit": _("says that the account is used up"),
    "load": _("loads and unloads on demand"),
    "pull": _("pulls models itself"),
}
