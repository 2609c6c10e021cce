"""Reading one streamed answer from an engine, by either wire: deltas as they come, then the totals."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from models_admin.backends.answer import Answer
from models_admin.backends.base import BackendError, BrokeOff, Item, Unreachable, Usage
from models_admin.backends.http_client import EngineHttp
from models_admin.backends.openai_wire import Event, LineReader, WireDelta, WireUsage, read_usage
from models_admin.backends.wire_errors import read_stream_error

CHAT_PATH = "/v1/chat/completions"
COMPLETION_PATH = "/v1/completions"


class Reader(Protocol):
    """What turns an engine's bytes into an answer. A failure is returned, not raised: text before it is to be shown."""

    answer: Answer

    @property
    def is_done(self) -> bool: ...

    def feed(self, chunk: bytes) -> BackendError | None: ...

    def usage(self) -> Usage: ...


async def stream_answer(
    http: EngineHttp, path: str, body: dict[str, Any], reader: Reader
) -> AsyncGenerator[Item, None]:
    """Deltas as they come, those of one network read merged per channel; at last the `Finish`."""
    answer = reader.answer
    async with http.stream(path, body) as stream:
        is_open = True
        while is_open and not reader.is_done:
            chunk = await stream.next()
            is_open = chunk is not None
            failure = reader.feed(b"\n" if chunk is None else chunk)  # the last line may lack its end
            if answer.pending:
                stream.note_token()
                for delta in answer.take():
                    yield delta
            if failure is not None:
                raise _as_broken(http.without_key(failure)) if answer.has_begun else http.without_key(failure)
    for item in answer.end():
        yield item
    yield answer.finish(reader.usage())


class EventReader:
    """Server-sent events of OpenAI's wire, chat or raw completion."""

    __slots__ = ("_lines", "_usage", "answer")

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self._lines = LineReader()
        self._usage: WireUsage | None = None

    @property
    def is_done(self) -> bool:
        return self._lines.is_done

    def feed(self, chunk: bytes) -> BackendError | None:
        try:
            for event in self._lines.feed(chunk):
                if event.error is not None:
                    return read_stream_error(event.error)
                self._read(event)
        except BrokeOff as error:
            return error
        return None

    def usage(self) -> Usage:
        thinking, answer = self.answer.counts()
        return read_usage(self._usage, thinking_count=thinking, answer_count=answer)

    def _read(self, event: Event) -> None:
        if event.usage is not None:
            self._usage = event.usage
        if (timings := event.timings) is not None:
            self.answer.prefill_ms, self.answer.decode_ms = round(timings.prompt_ms), round(timings.predicted_ms)
        if not event.choices:
            return
        choice = event.choices[0]
        if choice.finish_reason is not None:
            self.answer.ending = choice.finish_reason
        if choice.text:
            self.answer.add_content(choice.text)
        if choice.delta is not None:
            self._read_delta(choice.delta)

    def _read_delta(self, delta: WireDelta) -> None:
        if thinking := delta.reasoning_content or delta.reasoning:
            self.answer.add_thinking(thinking)
        if text := delta.content:
            self.answer.add_content(text)
        for call in delta.tool_calls or ():
            function = call.function
            name, arguments = (function.name or "", function.arguments or "") if function else ("", "")
            self.answer.add_tool_call(call.index, call.id or "", name, arguments)


def _as_broken(error: BackendError) -> BackendError:
    return BrokeOff(str(error)) if isinstance(error, Unreachable) else error
