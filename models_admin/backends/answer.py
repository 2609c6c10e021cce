"""One answer in the making: deltas by channel, tool calls, counts and times, whatever wire they come by."""

from __future__ import annotations

import time

from models_admin.backends.base import BrokeOff, Channel, Delta, Ending, Finish, Prefix, ToolCall, Unreachable, Usage
from models_admin.backends.reading import text as clean
from models_admin.backends.thought import ThoughtSplitter

# More than any model writes; a stream of nothing but new call numbers would eat the runner.
MAX_TOOL_CALLS = 128
# Of all calls together: as long as the longest answer; what never ends would eat the runner here too.
MAX_TOOL_CHARACTERS = 1024 * 1024
_ENDINGS: dict[str, Ending] = {
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
# Reasons by which engines say that they did not finish: SGLang's, and DeepSeek's for its own shortage.
_BROKEN = frozenset({"abort", "insufficient_system_resource", "error"})


class Answer:
    """Collects what a wire reads. `count` of the engine, where it gave one, is set as `usage`."""

    __slots__ = (
        "_first_at", "_has_news", "_has_text", "_owed", "_splitter", "_started_at", "_tokens", "_tool_calls",
        "_tool_characters", "decode_ms", "ending", "pending", "prefill_ms",
    )  # fmt: skip

    def __init__(self, splitter: ThoughtSplitter | None, *, behind: Prefix | None = None) -> None:
        """`behind`: what is there already. A channel without text loses the empty lines that follow a tag."""
        self.pending: list[tuple[Channel, str, int]] = []
        self.ending: str | None = None
        self.prefill_ms: int | None = None
        self.decode_ms: int | None = None
        self._splitter = splitter
        self._tokens: dict[Channel, int] = {"thinking": 0, "answer": 0}
        self._has_text: dict[Channel, bool] = {
            "thinking": bool(behind and behind.thinking),
            "answer": bool(behind and behind.answer),
        }
        self._owed = 0  # tokens of text that has not come out yet
        self._tool_calls: dict[int, list[str]] = {}
        self._tool_characters = 0
        self._has_news = False
        self._started_at = time.monotonic()
        self._first_at = 0.0

    @property
    def has_begun(self) -> bool:
        return self._first_at > 0

    def add_thinking(self, text: str) -> None:
        self._splitter = None  # this engine tells thinking apart itself
        self._add("thinking", text, 1)

    def add_content(self, text: str) -> None:
        if self._splitter is None:
            self._add("answer", text, 1)
            return
        pieces = self._splitter.feed(text)
        self._owed += not pieces
        for number, (channel, piece) in enumerate(pieces):
            self._add(channel, piece, int(number == len(pieces) - 1))

    def add_tool_call(self, index: int, id: str, name: str, arguments: str) -> None:
        """A call, or a further piece of the one with this index. Raises BrokeOff on too many or too long ones."""
        if index not in self._tool_calls and len(self._tool_calls) >= MAX_TOOL_CALLS:
            raise BrokeOff(f"more than {MAX_TOOL_CALLS} tool calls")
        call = self._tool_calls.setdefault(index, ["", "", ""])
        call[0], call[1] = call[0] or clean(id), call[1] or clean(name)
        call[2] += clean(arguments)
        self._tool_characters += len(id) + len(name) + len(arguments)
        if self._tool_characters > MAX_TOOL_CHARACTERS:
            raise BrokeOff(f"tool calls of more than {MAX_TOOL_CHARACTERS} characters")
        self._first_at = self._first_at or time.monotonic()
        self._has_news = self._has_news or bool(arguments or name)

    def take(self) -> list[Delta]:
        pending, self.pending = self.pending, []
        return [Delta(channel, text, tokens) for channel, text, tokens in pending]

    def take_news(self) -> bool:
        """Whether the model has written anything since the last time: text, or a piece of a call."""
        has_news, self._has_news = self._has_news or bool(self.pending), False
        return has_news

    def rest(self) -> list[Delta]:
        """What the splitter still held back for a tag that never came."""
        for channel, text in self._splitter.end() if self._splitter else ():
            self._add(channel, text, 0)
        return self.take()

    def tool_calls(self) -> list[ToolCall]:
        """The calls; whole only when the answer has ended."""
        return [ToolCall(*call) for _, call in sorted(self._tool_calls.items())]

    def counts(self) -> tuple[int, int]:
        """Tokens of thinking and of the answer by our own count: at least one a delta."""
        return self._tokens["thinking"], self._tokens["answer"] + self._owed

    def finish(self, usage: Usage) -> Finish:
        """Raises BrokeOff (Unreachable without a token) where the engine closed without naming a good reason."""
        if self.ending is None or self.ending in _BROKEN:
            kind = BrokeOff if self.has_begun else Unreachable
            raise kind(f"the stream ended early (finish reason {self.ending})")
        now = time.monotonic()
        first_at = self._first_at or now
        prefill_ms = round((first_at - self._started_at) * 1000) if self.prefill_ms is None else self.prefill_ms
        decode_ms = round((now - first_at) * 1000) if self.decode_ms is None else self.decode_ms
        reason = _ENDINGS.get(self.ending, "tool_calls" if self._tool_calls else "stop")  # Ollama says stop for both
        return Finish(reason, usage, prefill_ms, decode_ms)

    def _add(self, channel: Channel, text: str, tokens: int) -> None:
        if "\0" in text:  # PostgreSQL stores no NUL
            text = text.replace("\0", "\ufffd")
        if not self._has_text[channel]:
            text = text.lstrip("\n")
            if not text:
                self._owed += tokens
                return
            self._has_text[channel] = True
        self._first_at = self._first_at or time.monotonic()
        tokens, self._owed = tokens + self._owed, 0
        self._tokens[channel] += tokens
        last = self.pending[-1] if self.pending else None
        if last and last[0] == channel:
            self.pending[-1] = (channel, last[1] + text, last[2] + tokens)
        else:
            self.pending.append((channel, text, tokens))
