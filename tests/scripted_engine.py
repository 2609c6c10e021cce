"""An engine with known text, set pace, set slots and faults on demand, for tests and the bench.

    python -m tests.scripted_engine --port N --slots S --pace TOKENS_PER_SECOND --log FILE [--key K] [--as llama.cpp]

It speaks OpenAI's wire (streamed and not), and llama.cpp's `/health /slots /props /apply-template`. A raw completion
goes on behind what its prompt holds of the answer, and is refused where that is not what this engine says. Pace 0 = as
fast as the reader takes it. What it says is in scripted_text.py. One JSON line per start and close of a request goes to
the log.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import uvloop

from tests import scripted_text
from tests.scripted_wire import (
    Connection,
    Request,
    error_body,
    event,
    has_closed_thought,
    head,
    overflow_body,
    prompt_tokens,
    question_and_given,
    template,
    token_event,
)

TICK_SECONDS = 0.005
TOKENS_PER_WRITE = 32
BROKEN = {  # the last line of a stream that ends without its end
    "end_after": b": bye",
    "error_after": b'data: {"error":{"code":500,"message":"boom"}}',
    "nested_after": b"data: " + b"[" * 100_000,
}


class Engine:
    """All state of the process: slots, waiting requests, running answers and the log."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.waiting: deque[Answer] = deque()
        self.running: list[Answer] = []
        self.served = 0
        self._log = options.log.open("a", buffering=1) if options.log else None
        self._ticking = False

    def log(self, **fields: Any) -> None:
        if self._log:
            self._log.write(json.dumps({"at": time.time(), **fields}) + "\n")

    def respond(self, connection: Connection, request: Request) -> None:
        key = self.options.key
        if key and request.path != "/health" and request.headers.get("authorization") != f"Bearer {key}":
            connection.send_json(401, error_body(401, "Invalid API Key", "authentication_error"))
        elif request.path in ("/v1/chat/completions", "/v1/completions") and request.method == "POST":
            self._chat(connection, request)
        else:
            connection.send_json(*self._question(request))

    def _question(self, request: Request) -> tuple[int, object]:
        options = self.options
        if request.path == "/health":
            return 200, {"status": "ok"}
        if request.path == "/v1/models":
            return 200, {"object": "list", "data": [{"id": options.model, "max_model_len": options.context}]}
        if request.path == "/slots":
            busy = {answer.slot for answer in self.running}
            return 200, [{"id": n, "n_ctx": options.context, "is_processing": n in busy} for n in range(options.slots)]
        if request.path == "/props":
            return 200, {"total_slots": options.slots, "default_generation_settings": {"n_ctx": options.context}}
        if request.path == "/apply-template":
            return 200, {"prompt": template(json.loads(request.body))}
        if request.path == "/v1/chat/completions/input_tokens":
            return 200, {"input_tokens": prompt_tokens(json.loads(request.body))}
        return 404, error_body(404, "File Not Found", "not_found_error")

    def _chat(self, connection: Connection, request: Request) -> None:
        try:
            body = json.loads(request.body)
            text, given = question_and_given(body)
            answer = Answer(self, connection, body, text, given, number=self.served + 1)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            return connection.send_json(400, error_body(400, f"no request: {error}", "invalid_request_error"))
        self.served += 1
        self.log(
            event="start",
            id=self.served,
            user=text[:500],
            prompt=prompt_tokens(body),
            max_tokens=body.get("max_tokens"),
            form=body.get("response_format"),
            begun=answer.begun,
        )
        if refusal := self._refusal(body, answer.script):
            connection.send_json(*refusal, retry_after=answer.script.options.get("retry_after"))
            self.log(event="close", id=answer.number, tokens=0, reason="refused", status=refusal[0])
            return None
        connection.on_lost = answer.leave
        self.waiting.append(answer)
        self.admit()
        return None

    def _refusal(self, body: dict[str, Any], script: scripted_text.Script) -> tuple[int, object] | None:
        if status := int(script.options.get("error", 0)):
            return status, error_body(status, f"asked to fail with {status}", "scripted_error")
        if body.get("model") != self.options.model:
            message = f"The model `{body.get('model')}` does not exist."
            return 404, error_body(404, message, "NotFoundError")
        asked, limit = prompt_tokens(body), self.options.context
        if "overflow" in script.words or asked > limit:
            return 400, overflow_body(self.options.kind, max(asked, limit + 1), limit)
        return None

    def admit(self) -> None:
        """Start waiting requests, first come first served, while a slot is free."""
        while self.waiting and len(self.running) < self.options.slots:
            answer = self.waiting.popleft()
            busy = {other.slot for other in self.running}
            answer.slot = next(n for n in range(self.options.slots) if n not in busy)
            self.running.append(answer)
            answer.begin()
        if self.running and not self._ticking:
            self._ticking = True
            asyncio.get_running_loop().call_soon(self._tick)

    def _tick(self) -> None:
        now = time.monotonic()
        for answer in tuple(self.running):
            answer.advance(now)
        self._ticking = bool(self.running)
        if self._ticking:
            free_running = any(
                answer.pace == 0 and answer.is_going and answer.starts_at <= now for answer in self.running
            )
            asyncio.get_running_loop().call_later(0 if free_running else TICK_SECONDS, self._tick)


class Answer:
    """One request from its arrival to its close."""

    def __init__(
        self, engine: Engine, connection: Connection, body: dict[str, Any], text: str, given: str | None, *, number: int
    ) -> None:
        self.engine, self.connection, self.body, self.number = engine, connection, body, number
        self.script = script = scripted_text.read(text)
        if has_closed_thought(body):
            script.thinking = []
        self.pace = script.options.get("pace", 0.0 if "big" in script.options else engine.options.pace)
        self.slot = -1
        self.sent = 0
        self.starts_at = 0.0
        self.is_hanging = False
        thinking = [("reasoning_content", token) for token in script.thinking]
        if script.words & {"bare", "tags"}:  # thinking left in the text, as by an engine without a parser
            opening = "<think>" if "tags" in script.words else ""
            thinking = [("content", piece) for piece in (opening, *script.thinking, "</th", "ink>") if piece]
        self.begun = 0
        if given is None:
            self.tokens = thinking + [("content", token) for token in script.answer]
        else:
            self.begun, rest = scripted_text.rest(script, given)
            self.tokens = [("text", token) for token in rest]
        limit = body.get("max_tokens") or len(self.tokens)
        self.is_cut = limit < len(self.tokens)
        del self.tokens[limit:]
        self.faults = {
            count - self.begun: name
            for name in ("die_after", "end_after", "exit_after", "hang_after", "error_after", "nested_after")
            if (count := script.after(name)) is not None and count >= self.begun
        }
        if every := script.after("dies_every"):
            self.faults[every - self.begun % every] = "die_after"
        if self.begun:
            self.faults.pop(0, None)

    @property
    def is_going(self) -> bool:
        return not self.is_hanging and not self.connection.is_full

    def begin(self) -> None:
        self.starts_at = time.monotonic() + self.script.options.get("slow_first", 0)
        if self.body.get("stream"):
            self.connection.write(head(200, "text/event-stream", chunked=True, closes=self.connection.closes))
            self.connection.send_chunk(event(self.engine.options.model, {"role": "assistant", "content": None}))

    def advance(self, now: float) -> None:
        """Write the tokens that are due."""
        if not self.is_going or now < self.starts_at:
            return
        due = int((now - self.starts_at) * self.pace) + 1 if self.pace else self.sent + TOKENS_PER_WRITE
        until = min(due, len(self.tokens), self.sent + TOKENS_PER_WRITE)
        payload = b""
        while self.sent < until and self.sent not in self.faults:
            channel, text = self.tokens[self.sent]
            payload += token_event(self.engine.options.model, channel, text)
            self.sent += 1
        if payload and self.body.get("stream"):
            self.connection.send_chunk(payload)
        if fault := self.faults.get(self.sent):
            self._fail(fault)
        elif self.sent == len(self.tokens):
            self._finish()

    def leave(self) -> None:
        """The client has closed."""
        self._close("client_closed")

    def _fail(self, fault: str) -> None:
        if fault == "hang_after":
            self.is_hanging = True
        elif fault == "die_after":
            self._close("died")
            self.connection.abort()
        elif fault == "exit_after":
            self._close("died")
            os.kill(os.getpid(), signal.SIGKILL)
        else:
            self.connection.send_chunk(BROKEN[fault] + b"\n\n")
            self._close("died")
            self.connection.end_chunks()

    def _finish(self) -> None:
        usage = {"prompt_tokens": prompt_tokens(self.body), "completion_tokens": self.sent}
        usage["total_tokens"] = sum(usage.values())
        reason = "length" if self.is_cut else "stop"
        model = self.engine.options.model
        if self.body.get("stream"):
            payload = event(model, {}, reason)
            if (self.body.get("stream_options") or {}).get("include_usage"):
                payload += event(model, None, usage=usage)
            self.connection.send_chunk(payload + b"data: [DONE]\n\n")
        self._close("done")
        if self.body.get("stream"):
            return self.connection.end_chunks()
        said = {"role": "assistant", "content": self.script.answer_text, "reasoning_content": self.script.thinking_text}
        choice = {"index": 0, "message": said, "finish_reason": reason}
        return self.connection.send_json(200, {"model": model, "choices": [choice], "usage": usage})

    def _close(self, reason: str) -> None:
        engine = self.engine
        self.connection.on_lost = None
        for answers in (engine.running, engine.waiting):
            if self in answers:
                answers.remove(self)
        engine.log(event="close", id=self.number, tokens=self.sent, of=len(self.tokens), reason=reason)
        engine.admit()


async def serve(options: argparse.Namespace) -> None:
    engine = Engine(options)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(engine.respond), options.host, options.port, backlog=1024)
    port = server.sockets[0].getsockname()[1]
    print(f"scripted engine on http://{options.host}:{port}", flush=True)
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await stopping.wait()


def options(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Of these words, or of the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
    parser.add_argument("--port", type=int, default=0, help="0 = any free one; the first line printed names it")
    parser.add_argument("--slots", type=int, default=4)
    parser.add_argument("--pace", type=float, default=50.0, help="tokens per second and stream; 0 = unpaced")
    parser.add_argument("--log", type=Path)
    parser.add_argument("--key", default="")
    parser.add_argument("--model", default="scripted")
    parser.add_argument("--context", type=int, default=1_000_000, help="tokens per slot")
    parser.add_argument("--as", dest="kind", choices=("openai-compatible", "llama.cpp"), default="openai-compatible")
    return parser.parse_args(words)


def main() -> None:
    uvloop.run(serve(options()))


if __name__ == "__main__":
    main()
