"""Compiles .po to .mo without msgfmt, which a fresh Debian does not have."""

from __future__ import annotations

import ast
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from r1web.supervisor.arguments import ROOT
from r1web.supervisor.failure import CannotGoOn

MAGIC = 0x950412DE
CONTEXT_END = "\x04"


@dataclass
class Entry:
    """One message of a .po file; `texts` has one translation per plural form."""

    context: str | None = None
    source: str = ""
    plural: str | None = None
    texts: dict[int, str] = field(default_factory=dict)
    is_fuzzy: bool = False

    @property
    def key(self) -> str:
        context = f"{self.context}{CONTEXT_END}" if self.context is not None else ""
        return context + self.source

    @property
    def is_translated(self) -> bool:
        return bool(self.texts) and all(self.texts.values()) and not self.is_fuzzy


def compile_all() -> None:
    """Bring every .mo up to date with its .po."""
    for source in sorted((ROOT / "locale").glob("*/LC_MESSAGES/*.po")):
        target = source.with_suffix(".mo")
        if not target.exists() or target.stat().st_mtime_ns < source.stat().st_mtime_ns:
            fresh = target.with_suffix(".mo.new")
            fresh.write_bytes(compiled(source))
            fresh.replace(target)


def compiled(source: Path) -> bytes:
    """The .mo file's bytes: sorted originals, then their translations."""
    pairs = {}
    for entry in entries(source):
        if entry.is_translated:
            key = entry.key if entry.plural is None else f"{entry.key}\0{entry.plural}"
            pairs[key.encode()] = "\0".join(text for _, text in sorted(entry.texts.items())).encode()
    return _packed(sorted(pairs.items()))


def _packed(pairs: list[tuple[bytes, bytes]]) -> bytes:
    count, header = len(pairs), 28
    tables: list[bytes] = []
    strings, offset = b"", header + 16 * count
    for column in (0, 1):
        for pair in pairs:
            tables.append(struct.pack("<II", len(pair[column]), offset + len(strings)))
            strings += pair[column] + b"\0"
    head = struct.pack("<7I", MAGIC, 0, count, header, header + 8 * count, 0, offset)
    return head + b"".join(tables) + strings


def entries(source: Path) -> Iterator[Entry]:
    """The messages of a .po file, header included, obsolete ones left out."""
    entry, part = Entry(), ""
    for number, raw in enumerate(source.read_text(encoding="utf-8").splitlines(), 1):
        line = raw.strip()
        if line.startswith("#"):
            if part.startswith("msgstr"):
                yield entry
                entry, part = Entry(), ""
            entry.is_fuzzy |= line.startswith("#,") and "fuzzy" in line
        elif line:
            if not line.startswith('"'):
                begins = part.startswith("msgstr") and line.startswith(("msgid ", "msgctxt "))
                if begins:
                    yield entry
                    entry = Entry()
                part, _, line = line.partition(" ")
            _add(entry, part, _unquoted(source, number, line))
    if part.startswith("msgstr"):
        yield entry


def _add(entry: Entry, part: str, text: str) -> None:
    match part:
        case "msgctxt":
            entry.context = (entry.context or "") + text
        case "msgid":
            entry.source += text
        case "msgid_plural":
            entry.plural = (entry.plural or "") + text
        case _:
            form = int(part[7:-1]) if part.startswith("msgstr[") else 0
            entry.texts[form] = entry.texts.get(form, "") + text


def _unquoted(source: Path, number: int, line: str) -> str:
    try:
        value = ast.literal_eval(line.strip())
    except (SyntaxError, ValueError):
        value = None
    if not isinstance(value, str):
        raise CannotGoOn(f"Line {number} of {source} is no text in quotes: mend the translation.")
    return value
