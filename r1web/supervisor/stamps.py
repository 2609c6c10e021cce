"""Steps are skipped while what they depend on is unchanged: a stamp holds the hash of their inputs."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path


def digest_of(*parts: str | bytes) -> str:
    total = hashlib.sha256()
    for part in parts:
        total.update(part.encode() if isinstance(part, str) else part)
        total.update(b"\0")
    return total.hexdigest()


def digest_of_files(paths: Iterable[Path], *parts: str) -> str:
    """Hash over names, sizes and change times: quick, and enough for files that people edit."""
    lines = []
    for path in sorted(paths):
        facts = path.stat()
        lines.append(f"{path} {facts.st_size} {facts.st_mtime_ns}")
    return digest_of("\n".join(lines), *parts)


def is_current(stamp: Path, digest: str) -> bool:
    try:
        return stamp.read_text().strip() == digest
    except (OSError, UnicodeDecodeError):
        return False


def write(stamp: Path, digest: str) -> None:
    write_private(stamp, digest + "\n")


def write_private(path: Path, text: str) -> None:
    """Replace a file whole, with mode 600 from its first byte."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)
