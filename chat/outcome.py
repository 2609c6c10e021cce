"""What an attempt at an answer has come to, before anybody has written it down."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Outcome:
    """Texts are whole, earlier attempts included; tokens (as the engine counted them) and ms are this attempt's own.

    `last_seq` is the log's last entry, `finish` the engine's word.
    """

    state: str
    reason: str
    thinking: str
    text: str
    last_seq: int
    finish: str = ""
    prompt_tokens: int = 0
    cached_tokens: int = 0
    thinking_tokens: int = 0
    answer_tokens: int = 0
    thinking_ms: int | None = None
    prefill_ms: int = 0
    decode_ms: int = 0
    has_token: bool = False

    @property
    def output_tokens(self) -> int:
        return self.thinking_tokens + self.answer_tokens
