"""What the contract is held against: a driver, a model, and the few words that all checks need."""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from models_admin.backends.base import ChatMessage, ChatRequest, Delta, Driver, Finish, ToolCall

# Short enough for a 70B on a CPU to finish within a minute or two, and every R1 thinks before it answers.
QUESTION = "12+34=?"
MAX_TOKENS = 1500


class Broken(Exception):
    """The promise was not kept; the text says what was seen instead."""


class NotHere(Exception):
    """It cannot be seen on this engine as it is set up: no key, a model that does not think."""


@dataclass(frozen=True)
class Answer:
    """A whole answer. `channels` in the order in which they came."""

    thinking: str
    text: str
    channels: tuple[str, ...]
    counted: int
    calls: tuple[ToolCall, ...]
    finish: Finish


@dataclass(frozen=True)
class Subject:
    driver: Driver
    model: str

    def request(self, text: str = QUESTION, **fields: Any) -> ChatRequest:
        """A request at temperature 0, so that the same question has the same answer."""
        fields = {"temperature": 0.0, "max_tokens": MAX_TOKENS, **fields}
        return ChatRequest(fields.pop("model", self.model), (ChatMessage("user", text),), **fields)

    async def ask(self, text: str = QUESTION, **fields: Any) -> Answer:
        """The whole answer. Raises BackendError, and Broken where the stream has no proper end."""
        deltas: list[Delta] = []
        calls: list[ToolCall] = []
        finish: Finish | None = None
        async with aclosing(self.driver.chat(self.request(text, **fields))) as items:
            async for item in items:
                require(finish is None, "something came after the end")
                if isinstance(item, Delta):
                    deltas.append(item)
                elif isinstance(item, ToolCall):
                    calls.append(item)
                else:
                    finish = item
        if finish is None:
            raise Broken("the stream had no end")
        return Answer(
            "".join(delta.text for delta in deltas if delta.kind == "thinking"),
            "".join(delta.text for delta in deltas if delta.kind == "answer"),
            tuple(delta.kind for delta in deltas),
            sum(delta.tokens for delta in deltas),
            tuple(calls),
            finish,
        )


def require(is_so: bool, otherwise: str) -> None:
    """Raises Broken with what was seen instead."""
    if not is_so:
        raise Broken(otherwise)
