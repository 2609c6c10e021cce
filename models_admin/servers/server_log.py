"""A server's own log: what it tells while it loads, and when it dies; its end for people; rotation."""

from __future__ import annotations

import os
import re
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

MAX_BYTES = 8 * 1024 * 1024
KEPT = 2
SHOWN_CHARACTERS = 4000
_READ_BYTES = 64 * 1024
# vLLM, SGLang ("Multi-thread loading shards" too): tqdm writes each step behind a carriage return.
_SHARDS = re.compile(r"[Ll]oading (?:\w+ )*(?:checkpoint )?shards:\s+(\d{1,3})%")
# llama.cpp writes a dot for each percent, a hundred on one line.
_DOTS = re.compile(r"^\.{2,100}", re.MULTILINE)
_LOADING = re.compile(
    r"[Ll]oading (?:\w+ )*(?:checkpoint )?shards|Starting to load model|Load weight begin|load_tensors|load_model"
)
_OUT_OF_MEMORY = re.compile(
    r"out of memory|OutOfMemoryError|No available memory for the cache blocks|unable to allocate"
)
_TROUBLE = re.compile(r"\b\w*Error\b|\berror\b|\bfailed\b", re.IGNORECASE)
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True)
class Loading:
    """`has_begun` to load; `progress` in percent, None where the log tells none."""

    has_begun: bool = False
    progress: int | None = None


def loading(text: str) -> Loading:
    """Of what one start wrote. The last word counts: a model may have several sets of shards."""
    shards = _SHARDS.findall(text)
    dots = _DOTS.findall(text)
    if shards:
        return Loading(True, min(int(shards[-1]), 100))
    if dots:
        return Loading(True, len(dots[-1]))
    return Loading(bool(_LOADING.search(text)))


def is_out_of_memory(text: str) -> bool:
    return _OUT_OF_MEMORY.search(text) is not None


def last_trouble(text: str) -> str:
    """The last line that speaks of an error, else the last one; of an end as `ServerLog.end` gives it."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    troubled = [line for line in lines if _TROUBLE.search(line)]
    return (troubled or lines or [""])[-1]


def _last_lines(text: str) -> str:
    """As many whole ones as fit; of a longer one its end."""
    if len(text) <= SHOWN_CHARACTERS:
        return text
    kept = text[-SHOWN_CHARACTERS:]
    return kept if text[-SHOWN_CHARACTERS - 1] == "\n" else kept.partition("\n")[2] or kept


class ServerLog:
    """The file that a server's outputs go to; the server holds it open for appending."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self) -> BinaryIO:
        """For the server to append to. Only its owner may read: engines write their settings, keys among them."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return os.fdopen(os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab")

    def size(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def since(self, start: int) -> str:
        """What was written behind byte `start`, the last of it where that is much."""
        end = self.size()
        return self._read(max(min(start, end), end - _READ_BYTES))

    def end(self, *, secret: str) -> str:
        """The last lines for people, plain, and without the secret."""
        start = max(0, self.size() - _READ_BYTES // 4)
        text = self._read(start)
        if start:  # not half of a line, nor of the secret
            text = text.partition("\n")[2]
        if secret:
            text = text.replace(secret, "[key]")
        lines = (line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))
        return _last_lines(_CONTROL.sub("", "\n".join(lines)).strip())

    def rotate(self) -> bool:
        """Copy and truncate once it is big. Raises OSError, nothing lost."""
        if self.size() < MAX_BYTES:
            return False
        fresh = self.path.with_suffix(".log.new")
        try:
            shutil.copyfile(self.path, fresh)
            fresh.chmod(0o600)
            for number in range(KEPT - 1, 0, -1):
                with suppress(FileNotFoundError):
                    self._older(number).replace(self._older(number + 1))
            fresh.replace(self._older(1))
        finally:
            fresh.unlink(missing_ok=True)
        os.truncate(self.path, 0)
        return True

    def _older(self, number: int) -> Path:
        return self.path.with_suffix(f".log.{number}")

    def _read(self, start: int) -> str:
        try:
            with self.path.open("rb") as file:
                file.seek(start)
                return file.read(_READ_BYTES).decode("utf-8", "replace")
        except FileNotFoundError:
            return ""
