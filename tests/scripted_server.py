"""The scripted engine as a program that a host launches: under the name `llama-server`, with llama.cpp's own words."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

import uvloop

from tests import scripted_engine

ROOT = Path(__file__).resolve().parent.parent
LOG = "engine.jsonl"


def install(folder: Path, *, pace: float) -> str:
    """The PATH on which a host finds it; its log lies in `folder` too. `pace` in tokens/s and stream."""
    folder.mkdir()
    program = folder / "llama-server"
    # It gets nothing of the site's environment, as any engine.
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from tests import scripted_server\nscripted_server.main({str(folder / LOG)!r}, {pace!r})\n"
    )
    program.chmod(0o755)
    return os.pathsep.join([str(folder), os.environ["PATH"]])


def entries(folder: Path) -> list[dict[str, Any]]:
    """What the engine noted of its requests, oldest first."""
    return [json.loads(line) for line in (folder / LOG).read_text().splitlines()]


def main(log: str, pace: float) -> None:
    if "--version" in sys.argv:
        print("version: 1 (scripted)")
        return
    asked = _words()
    words = ["--host", asked.host, "--port", str(asked.port), "--slots", str(asked.parallel), "--model", asked.alias]
    words += ["--key", asked.api_key_file.read_text().strip(), "--pace", str(pace), "--log", log, "--as", "llama.cpp"]
    uvloop.run(scripted_engine.serve(scripted_engine.options(words)))


def _words() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", type=Path)
    parser.add_argument("--alias")
    parser.add_argument("--ctx-size", type=int)
    parser.add_argument("--parallel", type=int)
    parser.add_argument("--api-key-file", type=Path)
    parser.add_argument("--host")
    parser.add_argument("--port", type=int)
    return parser.parse_args()
