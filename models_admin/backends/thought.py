"""Thinking that an engine leaves in the text: told apart at `<think>` and `</think>`, also across chunks."""

from __future__ import annotations

import re
from typing import Final

from models_admin.backends.base import Channel, Prefix
from models_admin.backends.control_tokens import neutralise

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
OPENING: Final = _OPEN + "\n"  # as templates write it
# R1's template puts `<think>` into the prompt: such a model's text begins inside the thought.
_THINKERS = re.compile(r"(?:^|[^a-z0-9])r1(?:$|[^a-z0-9])|qwq|thinking|reasoner", re.IGNORECASE)


_R1 = re.compile(r"(?:^|[^a-z0-9])r1(?:$|[^a-z0-9])", re.IGNORECASE)


def is_of_r1(model: str) -> bool:
    """Whether a model's name says that it is of the DeepSeek-R1 family, whose template is known."""
    return _R1.search(model) is not None


def begins_in_thought(model: str) -> bool:
    """A guess by name, for the first answer of a model; afterwards its driver knows."""
    return _THINKERS.search(model) is not None


def opens_thought(prompt: str) -> bool:
    """Whether a template's prompt ends inside the thought, as R1's does."""
    return prompt.rstrip().endswith(_OPEN)


def tail_of(prefix: Prefix, *, is_open: bool) -> str:
    """What stands behind the template's prompt when an answer goes on; `is_open`: the prompt opened the thought."""
    thinking = neutralise(prefix.thinking)
    if prefix.answer is None:
        return thinking if is_open else f"{_OPEN}\n{thinking}"
    answer = neutralise(prefix.answer)
    if not is_open and not thinking:
        return answer
    opening = "" if is_open else f"{_OPEN}\n"
    closing = "" if thinking.endswith("\n") else "\n"
    return f"{opening}{thinking}{closing}{_CLOSE}\n\n{answer}"


class ThoughtSplitter:
    """Feeds on the text of one answer. `never_closed` tells at its end that the guess was wrong."""

    __slots__ = ("_guessed", "_held", "_is_fresh", "_is_thinking")

    def __init__(self, *, inside: bool) -> None:
        self._is_thinking = inside
        self._is_fresh = True  # nothing but white space so far: an opening tag may still come
        self._held = ""
        self._guessed = inside

    @property
    def never_closed(self) -> bool:
        return self._guessed and self._is_thinking

    def feed(self, text: str) -> list[tuple[Channel, str]]:
        """What can be told now; the beginning of a possible tag is held back."""
        text = self._held + text
        self._held = ""
        pieces: list[tuple[Channel, str]] = []
        if self._is_fresh:
            text = self._opening(text)
        if self._is_thinking and (at := text.find(_CLOSE)) >= 0:
            pieces.append(("thinking", text[:at]))
            text = text[at + len(_CLOSE) :]
            self._is_thinking = False
        keep = len(text) - (_overlap(text, _CLOSE) if self._is_thinking else 0)
        pieces.append((self._channel, text[:keep]))
        self._held = text[keep:] + self._held
        return [piece for piece in pieces if piece[1]]

    def end(self) -> list[tuple[Channel, str]]:
        """What was held back for a tag that never came."""
        held, self._held = self._held, ""
        return [(self._channel, held)] if held else []

    @property
    def _channel(self) -> Channel:
        return "thinking" if self._is_thinking else "answer"

    def _opening(self, text: str) -> str:
        start = text.lstrip()
        if not start or _OPEN.startswith(start):
            self._held = text
            return ""
        self._is_fresh = False
        if start.startswith(_OPEN):
            self._is_thinking = True
            return start[len(_OPEN) :]
        return text


def _overlap(text: str, tag: str) -> int:
    """Length of the longest end of `text` that begins `tag`."""
    return next((n for n in range(min(len(tag) - 1, len(text)), 0, -1) if text.endswith(tag[:n])), 0)
