"""An answer in the making, and what has become of it when its reading has ended."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from chat import estimating
from chat.answer_log import ANSWER, THINKING, Log
from chat.claiming import Work
from chat.models import Generation
from chat.outcome import Outcome
from models_admin.backends import base

State = Generation.State
ANSWER_LIMIT = 2_000_000  # characters of thinking and answer together


@dataclass(eq=False)
class Live:
    """An answer in the making."""

    work: Work
    log: Log
    started: float = field(default_factory=time.monotonic)
    first_answer: float | None = None
    # Tokens of this attempt until the thought was ended, thinking and answer: no engine's count holds them.
    left_behind: tuple[int, int] = (0, 0)
    first_token: float | None = None
    characters: int = field(init=False)
    is_stopped: bool = False
    is_drained: bool = False
    is_lost: bool = False
    wants_answer: bool = False
    thinking_end: str = ""
    reader: asyncio.Task[None] | None = None
    finish: base.Finish | None = None
    error: base.BackendError | None = None

    @property
    def thinking_tokens(self) -> int:
        """Of this attempt, by our own count."""
        return self.log.tokens(THINKING) - self.work.before.thinking_tokens

    @property
    def answer_tokens(self) -> int:
        return self.log.tokens(ANSWER) - self.work.before.answer_tokens

    @property
    def shall_answer(self) -> bool:
        """The thought shall end here: somebody wants the answer, or the budget is used up."""
        if self.thinking_end or self.first_answer is not None or not self.work.can_end_thinking:
            return False
        return self.wants_answer or self._is_over_budget

    @property
    def _is_over_budget(self) -> bool:
        budget = self.work.thinking_budget
        return budget is not None and self.log.tokens(THINKING) >= budget

    def end_thinking(self) -> None:
        end = Generation.ThinkingEnd
        self.thinking_end = end.ASKED if self.wants_answer else end.BUDGET
        self.left_behind = self.thinking_tokens, self.answer_tokens

    @property
    def can_be_handed_on(self) -> bool:
        """Lost by no fault of its own and by nobody's wish: an engine that broke off, a site that stops."""
        if self.is_stopped or self.characters > ANSWER_LIMIT:
            return False
        return isinstance(self.error, base.BrokeOff) or (self.error is None and self.finish is None)

    def __post_init__(self) -> None:
        self.characters = len(self.work.before.thinking) + len(self.work.before.answer)

    def end(self, *, drained: bool = False, lost: bool = False) -> None:
        """End the reading: the engine's slot is freed by closing its connection."""
        self.is_drained |= drained
        self.is_lost |= lost
        self.is_stopped |= not (drained or lost)
        if self.reader is not None:
            self.reader.cancel()


def outcome_of(live: Live) -> Outcome:
    """State, text and usage of an ended reading. The engine's own count wins where it gave one."""
    state, reason = _verdict(live)
    usage = live.finish.usage if live.finish else None
    thinking, text = live.log.text(THINKING), live.log.text(ANSWER)
    now = time.monotonic()
    first = live.first_token or now
    thought_until = live.first_answer or now
    return Outcome(
        state=state,
        reason=reason,
        thinking=thinking,
        text=text,
        last_seq=len(live.log.entries),
        finish=live.finish.reason if live.finish else "",
        prompt_tokens=usage.prompt_tokens if usage else _prompt_estimate(live),
        # More from the cache than there was would be a negative cost.
        cached_tokens=min(usage.cached_tokens, usage.prompt_tokens) if usage else 0,
        thinking_tokens=usage.thinking_tokens + live.left_behind[0] if usage else live.thinking_tokens,
        answer_tokens=usage.answer_tokens + live.left_behind[1] if usage else live.answer_tokens,
        thinking_ms=int((thought_until - first) * 1000) if thinking else None,
        prefill_ms=int((first - live.started) * 1000),
        decode_ms=int((now - first) * 1000),
        has_token=live.first_token is not None,
    )


def _prompt_estimate(live: Live) -> int:
    """Of an answer that was broken off, so that its engine's count never came: it was read all the same."""
    if live.first_token is None:
        return 0
    return estimating.tokens_in(*(message.content for message in live.work.request.messages))


def _verdict(live: Live) -> tuple[str, str]:
    if live.finish is not None and live.error is None:
        return State.DONE, ""
    if live.error is not None:
        return State.FAILED, live.error.code
    if live.is_stopped:
        return State.STOPPED, "stopped"
    if live.is_drained:
        return State.FAILED, "site_stopping"
    return State.FAILED, "engine_broke_off"
