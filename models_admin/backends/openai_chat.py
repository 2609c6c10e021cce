"""Reading one streamed chat answer: deltas by channel, then the totals."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from typing import Any

from models_admin.backends.base import BackendError, BrokeOff, Channel, Delta, Finish, Unreachable
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import Event, LineReader, Timings, WireUsage, read_stream_error, read_usage
from models_admin.backends.thought import ThoughtSplitter

CHAT_PATH = "/v1/chat/completions"


async def stream_answer(
    http: EngineHttp, body: dict[str, Any], splitter: ThoughtSplitter | None
) -> AsyncGenerator[Delta | Finish, None]:
    """Deltas as they come, those of one network read merged per channel; at last the `Finish`."""
    answer = AnswerReader(splitter)
    lines = LineReader()
    async with http.stream(CHAT_PATH, body) as stream:
        while not lines.is_done and (chunk := await stream.next()) is not None:
            failure = answer.read_chunk(lines, chunk)
            if answer.pending:
                stream.note_token()
                for delta in answer.take():
                    yield delta
            if failure is not None:
                raise _as_broken(failure) if stream.has_begun else failure
    for delta in answer.end():
        yield delta
    yield answer.finish()


class AnswerReader:
    """Collects the events of one answer."""

    __slots__ = (
        "_ending", "_first_at", "_has_text", "_owed", "_splitter", "_started_at", "_timings", "_tokens", "_usage",
        "pending",
    )  # fmt: skip

    def __init__(self, splitter: ThoughtSplitter | None) -> None:
        self.pending: list[tuple[Channel, str, int]] = []
        self._splitter = splitter
        self._tokens: dict[Channel, int] = {"thinking": 0, "answer": 0}
        self._has_text: dict[Channel, bool] = {"thinking": False, "answer": False}
        self._owed = 0  # tokens of text that has not come out yet
        self._usage: WireUsage | None = None
        self._timings: Timings | None = None
        self._ending: str | None = None
        self._started_at = time.monotonic()
        self._first_at = 0.0

    def read_chunk(self, lines: LineReader, chunk: bytes) -> BackendError | None:
        """Collect what `chunk` brings. A failure is returned, not raised: text before it is still to be shown."""
        try:
            for event in lines.feed(chunk):
                if event.error is not None:
                    return read_stream_error(event.error)
                self.read(event)
        except BrokeOff as error:
            return error
        return None

    def read(self, event: Event) -> None:
        if event.usage is not None:
            self._usage = event.usage
        if event.timings is not None:
            self._timings = event.timings
        if not event.choices:
            return
        choice = event.choices[0]
        if choice.finish_reason is not None:
            self._ending = choice.finish_reason
        if (delta := choice.delta) is None:
            return
        if thinking := delta.reasoning_content or delta.reasoning:
            self._splitter = None  # this engine tells thinking apart itself
            self._add("thinking", thinking, 1)
        if text := delta.content:
            self._add_content(text)

    def take(self) -> list[Delta]:
        pending, self.pending = self.pending, []
        return [Delta(channel, text, tokens) for channel, text, tokens in pending]

    def end(self) -> list[Delta]:
        """What the splitter still held back for a tag that never came."""
        for channel, text in self._splitter.end() if self._splitter else ():
            self._add(channel, text, 0)
        return self.take()

    def finish(self) -> Finish:
        """Raises BrokeOff (Unreachable without a token) where the engine closed without naming a reason."""
        if self._ending is None or self._ending == "abort":
            kind = BrokeOff if self._first_at else Unreachable
            raise kind(f"the stream ended early (finish reason {self._ending})")
        usage = read_usage(
            self._usage, thinking_count=self._tokens["thinking"], answer_count=self._tokens["answer"] + self._owed
        )
        prefill_ms, decode_ms = self._milliseconds()
        return Finish("length" if self._ending == "length" else "stop", usage, prefill_ms, decode_ms)

    def _add_content(self, text: str) -> None:
        if self._splitter is None:
            self._add("answer", text, 1)
            return
        pieces = self._splitter.feed(text)
        self._owed += not pieces
        for number, (channel, piece) in enumerate(pieces):
            self._add(channel, piece, int(number == len(pieces) - 1))

    def _add(self, channel: Channel, text: str, tokens: int) -> None:
        if "\0" in text:  # PostgreSQL stores no NUL
            text = text.replace("\0", "\ufffd")
        if not self._has_text[channel]:
            text = text.lstrip("\n")  # templates leave empty lines after their tags
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

    def _milliseconds(self) -> tuple[int, int]:
        if self._timings is not None:
            return round(self._timings.prompt_ms), round(self._timings.predicted_ms)
        first_at = self._first_at or time.monotonic()
        return round((first_at - self._started_at) * 1000), round((time.monotonic() - first_at) * 1000)


def _as_broken(error: BackendError) -> BackendError:
    return BrokeOff(str(error)) if isinstance(error, Unreachable) else error
