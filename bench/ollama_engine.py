"""What the scripted engine says, on Ollama's wire: one JSON object a line, at a set pace. Only enough for the bench.

python -m bench.ollama_engine --port N --pace TOKENS_PER_SECOND
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from functools import lru_cache

import uvloop

from tests import scripted_text
from tests.scripted_wire import Connection, Request, head

MODEL = "scripted"
TICK_SECONDS = 0.005  # as the scripted engine


class Answer:
    """One stream; the tokens that are due go out together."""

    def __init__(self, connection: Connection, message: str) -> None:
        script = scripted_text.read(message)
        self.connection = connection
        self.tokens = [("thinking", text) for text in script.thinking] + [("content", text) for text in script.answer]
        self.sent, self.began = 0, time.monotonic()
        connection.write(head(200, "application/x-ndjson", chunked=True))

    def advance(self, now: float, pace: float) -> bool:
        """Whether it goes on."""
        until = min(int((now - self.began) * pace) + 1, len(self.tokens))
        if until > self.sent:
            self.connection.send_chunk(b"".join(token_line(*token) for token in self.tokens[self.sent : until]))
            self.sent = until
        if self.sent < len(self.tokens):
            return True
        self.connection.send_chunk(last_line(self.sent))
        self.connection.end_chunks()
        return False


class Engine:
    def __init__(self, pace: float) -> None:
        self.pace = pace
        self.running: list[Answer] = []

    def respond(self, connection: Connection, request: Request) -> None:
        if request.path == "/api/chat":
            self.running.append(Answer(connection, json.loads(request.body)["messages"][-1]["content"]))
        elif request.path == "/api/show":
            connection.send_json(200, {"capabilities": ["completion", "thinking"]})
        else:
            connection.send_json(200, {"version": "0.0.0"})

    async def tick(self) -> None:
        while True:
            now = time.monotonic()
            self.running = [answer for answer in self.running if answer.advance(now, self.pace)]
            await asyncio.sleep(TICK_SECONDS)


@lru_cache(maxsize=4096)
def token_line(channel: str, text: str) -> bytes:
    message = {"role": "assistant", "content": "", channel: text}
    return line({"message": message, "done": False})


def last_line(tokens: int) -> bytes:
    ended = {"done": True, "done_reason": "stop", "prompt_eval_count": 10, "eval_count": tokens}
    return line({"message": {"role": "assistant", "content": ""}, **ended})


def line(fields: dict[str, object]) -> bytes:
    value = {"model": MODEL, "created_at": "2026-11-24T15:59:20.969371094Z", **fields}
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"


async def serve(port: int, pace: float) -> None:
    engine = Engine(pace)
    loop = asyncio.get_running_loop()
    await loop.create_server(lambda: Connection(engine.respond), "127.0.0.1", port, backlog=1024)
    await engine.tick()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--pace", type=float, default=50.0)
    options = parser.parse_args()
    uvloop.run(serve(options.port, options.pace))


if __name__ == "__main__":
    main()
