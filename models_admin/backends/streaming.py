"""Reading one streamed answer from an engine, by either wire: deltas as they come, then the totals."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Protocol

from models_admin.backends.answer import Answer
from models_admin.backends.base import BackendError, BrokeOff, Item, Unreachable, Usage
from models_admin.backends.http_client import ChunkStream, EngineHttp
from models_admin.backends.openai_wire import Event, LineReader, WireDelta, WireUsage, read_usage
from models_admin.backends.reading import whole
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
        is_open, failure = True, None
        while is_open and failure is None and not reader.is_done:
            is_open, failure = await _read_on(stream, reader)
            if answer.take_news():
                stream.note_token()
            for delta in answer.take():
                yield delta
        for delta in answer.rest():
            yield delta
        if failure is not None:
            raise _as_it_stands(failure, has_begun=answer.has_begun)
        finish = answer.finish(reader.usage())
    for call in answer.tool_calls():
        yield call
    yield finish


async def _read_on(stream: ChunkStream, reader: Reader) -> tuple[bool, BackendError | None]:
    """Whether more may come, and what is wrong. What came before stays with the reader's answer."""
    try:
        chunk = await stream.next()
    except BackendError as error:
        return False, error
    return chunk is not None, reader.feed(b"\n" if chunk is None else chunk)  # the last line may lack its end


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
            self.answer.prefill_ms, self.answer.decode_ms = whole(timings.prompt_ms), whole(timings.predicted_ms)
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


def _as_it_stands(error: BackendError, *, has_begun: bool) -> BackendError:
    """Before the first token nothing has broken off: it may be tried elsewhere."""
    if has_begun and isinstance(error, Unreachable):
        return BrokeOff(str(error))
    if not has_begun and isinstance(error, BrokeOff):
        return Unreachable(str(error))
    return error
