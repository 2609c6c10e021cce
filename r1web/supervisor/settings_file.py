"""The environment of the running site, kept in <data>/site.env (mode 600) for bin/manage and later starts."""

from __future__ import annotations

import os
from pathlib import Path

from r1web.supervisor import stamps

NAME = "site.env"


def save(data: Path, values: dict[str, str]) -> None:
    lines = [f"{name}={value}" for name, value in sorted(values.items())]
    stamps.write_private(data / NAME, "\n".join(lines) + "\n")


def load(data: str) -> None:
    """Put what the file holds into the environment; what is set there already wins."""
    try:
        lines = (Path(data) / NAME).read_text().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        name, _, value = line.partition("=")
        os.environ.setdefault(name, value)
