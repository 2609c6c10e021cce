"""What site and host tell each other about servers that the host launches: JSON on the broker. No Django here."""

from __future__ import annotations

from typing import Literal

import msgspec

ProgramName = Literal["vllm", "sglang", "llama.cpp"]
# starting: the process runs; loading: it reads the model; ready: its health says so; restarting: it ended and pauses
# before the next start; ended: as it was told; quarantined: it ended again and again, and is left alone.
ServerStage = Literal["starting", "loading", "ready", "restarting", "ended", "quarantined"]


class Server(msgspec.Struct, frozen=True):
    """A server to be launched. `model` is a path of the host, or a name that the program fetches itself; `name` is
    what it is called in requests. `context` is tokens per slot, 0 = the program's own choice, as are 0 `slots`.

    `flags` are (flag, value) of `launch_flags`, checked again by the host. `bind` is the address to listen on. `gpus`
    are indices of cards, () = all that the program finds.
    """

    program: ProgramName
    model: str
    name: str
    port: int
    bind: str = "127.0.0.1"
    context: int = 0
    slots: int = 0
    flags: tuple[tuple[str, str], ...] = ()
    gpus: tuple[int, ...] = ()


class LaunchOrder(msgspec.Struct, frozen=True):
    """What shall run for a deployment: `server`, or nothing. A later attempt supersedes an earlier one."""

    deployment: int
    attempt: int
    server: Server | None = None


class ServerWord(msgspec.Struct, frozen=True):
    """How a server is. `progress` in percent, None where its log tells none; `reason` is a word of `warm_words`.

    `log` is the end of what it wrote, at most 4,000 characters.
    """

    deployment: int
    attempt: int
    stage: ServerStage
    progress: int | None = None
    reason: str = ""
    detail: str = ""
    log: str = ""
