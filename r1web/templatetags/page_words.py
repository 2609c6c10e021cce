"""The words that scripts write into the page, in the reader's language."""

from __future__ import annotations

from typing import Any

from django import template
from django.urls import reverse
from django.utils.html import json_script
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from accounts.models import User
from models_admin.loads import warm_words
from models_admin.pulls import pull_words

register = template.Library()


@register.simple_tag(takes_context=True)
def page_words(context: template.Context) -> SafeString:
    """A JSON script element: key → sentence with {placeholders}, or → {one, other} where a number chooses."""
    words = {
        **_interface(),
        **_counts(),
        **_stages(),
        **_carrying_on(),
        **_reasons(),
        **_ways(),
        **_places(context["request"].user),
    }
    return json_script(words, "r1-words")


def _places(reader: User) -> dict[str, str]:
    """Addresses for those who may do something there."""
    may_pull = reader.has_perm("models_admin.change_pulljob")
    return {"pulls_page": reverse("admin:models_admin_pulljob_changelist")} if may_pull else {}


def _interface() -> dict[str, str]:
    return {
        "send": _("Send"),
        "stop": _("Stop"),
        "stop_title": _("Stop (Esc)"),
        "stopping": _("Stopping"),
        "copy": _("Copy"),
        "copy_code": _("Copy code"),
        "copied": _("Copied"),
        "copy_failed": _("Not copied"),
        "copy_what_there_is": _("Copy what there is"),
        "code": _("code"),
        "you": _("You"),
        "thinking": _("Thinking"),
        "thought": _("Thought"),
        "cancel": _("Cancel"),
        "keeps_place": _("Saved. Closing this tab keeps your place."),
        "write_next": _("Write the next question; it is sent when this answer ends"),
        "stopped": _("Stopped. The text above is saved."),
        "stopped_empty": _("Stopped before the first word."),
        "cut_off": _("The answer was cut off: it reached the limit of its length."),
        "ended_empty": _("The model ended without an answer. Try again, or ask for less at once."),
        "new_chat": _("New chat"),
        "try_again": _("Try again"),
        "text_is_saved": _("The text above is saved and counted once."),
        "question_is_saved": _("Your question is saved."),
        "ready_models": _("Ready now, to choose below: {models}."),
        "no_ready_models": _("No other model is ready at the moment."),
        "model_is": _("Model: {name}"),
        "rename": _("Rename"),
        "undo": _("Undo"),
        "deleted": _("“{title}” is deleted."),
        "not_asked": _("Not sent: the site did not answer. What you wrote stays here."),
        "not_changed": _("Not changed: the site did not answer."),
        "not_deleted": _("Not deleted: the site did not answer. Nothing is lost."),
        "signed_out": _("Signed out. Drafts stay in this browser."),
        "sending": _("Sending"),
        "tell_me": _("Tell me when it is ready"),
        "note_start": _("Notify me when it starts"),
        "has_started": _("“{title}” is being answered"),
        "tell_me_of": _("Tell me when {name} is ready"),
        "wish_not_kept": _("Not noted: you wait for ten models already, or the site did not answer."),
        "another_model": _("another model"),
        "host.local": _("the site's machine"),
        "list.waiting": _("waiting"),
        "list.thinking": _("thinking"),
        "list.running": _("writing"),
    }


def _counts() -> dict[str, Any]:
    return {
        "seconds": _("{n} s"),
        "seconds_exact": _("{s} s"),
        "thought_for": _("Thought for {n} s"),
        "tokens": {"one": _("{n} token"), "other": _("{n} tokens")},
        "ahead": _("{n} ahead of you"),
        "next": _("Next in line"),
        "ready_in": _("ready in about {n} s, by its last load"),
        **_starts(),
        **_line(),
        "ends_at": _("If nothing changes, it stops waiting at {time}; the question stays here."),
    }


def _starts() -> dict[str, str]:
    """When an answer should begin: `low` to `n` seconds or minutes from now."""
    return {
        "starts.any_moment": _("starts any moment"),
        "starts.within_seconds": _("starts within {n} s"),
        "starts.in_seconds": _("starts in about {n} s"),
        "starts.between_seconds": _("starts in about {low}–{n} s"),
        "starts.within_minutes": _("starts within {n} min"),
        "starts.in_minutes": _("starts in about {n} min"),
        "starts.between_minutes": _("starts in about {low}–{n} min"),
        "wait.any_moment": _("any moment"),
        "wait.within_seconds": _("within {n} s"),
        "wait.in_seconds": _("about {n} s"),
        "wait.between_seconds": _("{low}–{n} s"),
        "wait.within_minutes": _("within {n} min"),
        "wait.in_minutes": _("about {n} min"),
        "wait.between_minutes": _("{low}–{n} min"),
    }


def _line() -> dict[str, str]:
    """The places of the line, as they stand beside their dots."""
    return {
        "line.name": _("The line"),
        "line.next": _("next"),
        "line.second": _("2nd"),
        "line.third": _("3rd"),
        "line.more": _("{n} more"),
        "line.you": _("you"),
    }


def _stages() -> dict[str, str]:
    return {
        "stage.queued": _("In line"),
        "stage.starting": _("Starting"),
        "stage.loading": _("The model is loading"),
        "stage.prefill": _("Reading the question"),
        "stage.answering": _("Writing"),
        "waiting.ahead": _("All places at this model are taken. Those ahead of you start first."),
        "waiting.next": _("All places at this model are taken. Yours starts as soon as one is free."),
        "waiting.your_cap": _("Your other questions are being answered first."),
        "waiting.overtaken": _("You moved to place {place}: others used less of the box."),
        "waiting.makes_way": _(
            "{model} answers what it has begun and makes room for a model that was waited for longer; then it is loaded"
            " again."
        ),
        "waiting.no_runner": _("No runner is at work right now. The question is kept and starts when one is back."),
        "waiting.no_engine": _("The engine does not answer. The question is kept and starts when it is back."),
        **_cold(),
        "waiting.unknown": _("The question is kept and starts as soon as it can."),
    }


def _carrying_on() -> dict[str, str]:
    """An answer that went on after a loss, and a thought that somebody or a budget ended."""
    return {
        "gap": _("The answer broke off here. It goes on as soon as its model can; the text is saved."),
        "seam.engine_broke_off": _("Carried on by {host} after {n} tokens: {engine} broke off"),
        "seam.runner_lost": _("Carried on by {host} after {n} tokens: its process was lost"),
        "seam.site_stopping": _("Carried on by {host} after {n} tokens: the site was started anew"),
        "seam.other": _("Carried on by {host} after {n} tokens"),
        "continue": _("Continue"),
        "continue_later": _("Continue when it is back"),
        "ask_model": _("Ask {name}"),
        "ask_cloud": _("Ask {name}, a cloud"),
        "thinking_end.asked": _("You asked for the answer: the thought ends here"),
        "thinking_end.budget": _("The thinking budget is used up: the thought ends here"),
        "answer_now_hint": _("Answer now ends the thought and writes from what it has so far."),
        "answer_asked": _("The thought is being ended."),
        "no_answer_now": _("This model’s engine cannot end a thought early."),
        "reason.cannot_go_on": _("No engine of this model can go on behind this text. Try again asks anew."),
    }


def _cold() -> dict[str, str]:
    """Why a model that is not in memory is waited for."""
    return {
        "waiting.evicting": _("{other} is being unloaded on {host} to make room for {model}."),
        "waiting.loading": _("{model} is loading on {host}."),
        "loading.percent": _("{model} is loading on {host}, {percent} %."),
        "waiting.cold": _("{model} is not in memory. It is loaded on {host} in a moment."),
        "waiting.no_room_in_use": _("{model} is loaded on {host} once a model there has answered and may go."),
        "waiting.no_room_pinned": _("{model} is loaded on {host} once a model that is pinned there may go."),
        "pinned.until": _("{model} has no room on {host}: what is in memory there is pinned until {time}."),
        "waiting.load_failed": _("{model} did not get ready on {host}. The question is kept."),
        "waiting.too_big": _("{model} does not fit into the memory of {host}. The question is kept."),
        "waiting.pulling": _("The files of {model} are on their way to {host}. The question is kept."),
        "waiting.pull_paused": _(
            "The pull of {model} to {host} is paused. An admin can resume it; the question is kept."
        ),
        "waiting.not_pulled": _(
            "The files of {model} are not on {host}. An admin can pull them; the question is kept."
        ),
        "waiting.pull_failed": _("The pull of {model} to {host} failed. An admin can retry it; the question is kept."),
        "waiting.host_gone": _("{model} is on {host}, which is silent. The question starts when it is back."),
        "place.pull_paused": _("The pull is paused"),
        "place.not_pulled": _("Its files are not there"),
        "place.pull_failed": _("Its files did not come"),
        "see_pulls": _("See the pulls"),
        **{f"load.{code}": sentence for code, sentence in warm_words.reasons().items()},
        **{f"pull.{code}": sentence for code, sentence in pull_words.sentences().items()},
    }


def _reasons() -> dict[str, str]:
    """What happened, by reason code."""
    return {
        "reason.engine_unreachable": _("The engine does not answer"),
        "reason.engine_overloaded": _("The engine is busy and took nothing more"),
        "reason.model_missing": _("The engine no longer has this model"),
        "reason.context_too_long": _("The conversation is longer than this model can read"),
        "reason.bad_request": _("The engine did not accept the question"),
        "reason.wrong_key": _("The engine refused the site’s key"),
        "reason.out_of_credit": _("The account at this cloud is used up"),
        "reason.cloud_not_allowed": _("This model is a cloud’s, and your group may not send anything there."),
        "reason.may_not_ask": _("You may see this model, not ask it."),
        "reason.may_not_load": _("You may ask this model while it is warm, and it is cold now."),
        "reason.local_only": _("This conversation stays on our own machines, and this model is a cloud’s."),
        "reason.no_price": _("This cloud’s model has no price yet, so your limit for cloud money could not count it."),
        "reason.never_ready": _("Nothing here can load or run this model now, so the question stopped waiting"),
        "reason.engine_broke_off": _("The engine stopped in the middle of the answer"),
        "reason.runner_lost": _("The process that carried this answer was lost"),
        "reason.site_stopping": _("The site was stopped before the answer was complete"),
        "reason.engine_failed": _("The engine failed"),
        "reason.stopped": _("Stopped"),
        "reason.unknown": _("The answer broke off"),
        "reason.too_many_waiting": _(
            "Too many of your questions are waiting. Nothing was sent; send it again when one of them is answered."
        ),
        "reason.quota_used_up": _("Your limit is used up until {time}. Nothing was sent; the text stays here."),
        "reason.message_too_long": _("Longer than {n} characters, so nothing was sent. Shorten it or split it."),
        "reason.message_empty": _("There is nothing to send yet."),
        "reason.no_model": _("This model is not here for you. The text stays here; choose another one."),
        "no_model_yet": _("No model is available right now. The text stays here; an admin can attach an engine."),
        "reason.not_found": _("This conversation no longer exists. The text stays here."),
        "reason.still_answering": _("An answer is being written here already. Stop it, or wait until it has ended."),
        "reason.bad_text": _("The text holds characters that cannot be stored. Remove them and send it again."),
        "reason.key_reused": _("Nothing was sent. Send it once more."),
        "reason.server_error": _(
            "The site could not take this just now. The text stays here; send it again in a moment."
        ),
        "reason.bad_frame": _("The site did not understand this page. Reload it; the text stays here."),
    }


def _ways() -> dict[str, str]:
    """What can be done, by reason code."""
    later = _("Try again; if it stays like this, an admin should look at the engine.")
    again = _("Try again asks the question once more.")
    return {
        "way.engine_unreachable": later,
        "way.engine_overloaded": _("Try again in a moment."),
        "way.model_missing": _("Choose another model below, or ask an admin to bring it back."),
        "way.context_too_long": _("Start a new chat, or ask for less at once."),
        "way.bad_request": _("Try again with other words or another model."),
        "way.wrong_key": _("An admin has to enter the engine’s key again."),
        "way.out_of_credit": _("Choose a local model below; an admin has to pay in."),
        "way.cloud_not_allowed": _("Choose a local model below."),
        "way.no_model": _("Choose another model below, or ask an admin."),
        "way.may_not_ask": _("Choose another model below, or ask an admin."),
        "way.may_not_load": _("Choose a warm one below, or let yourself be told when it is ready."),
        "way.local_only": _("Choose a local model below."),
        "way.no_price": _("Choose another model below, or ask an admin for its price."),
        "way.never_ready": _("An admin finds the cause under Models; after that, try again."),
        "way.engine_broke_off": later,
        "way.runner_lost": again,
        "way.site_stopping": again,
        "way.engine_failed": later,
        "way.stopped": again,
        "way.unknown": again,
    }
