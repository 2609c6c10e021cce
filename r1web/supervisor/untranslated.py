"""Names every text of the page, the code and the scripts that a translation lacks; ends with 1 when there is one."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from r1web.supervisor import translations
from r1web.supervisor.arguments import ROOT

CODE = ("accounts", "chat", "models_admin", "r1web")
CALLS = {"_", "gettext", "gettext_lazy", "ngettext", "ngettext_lazy", "pgettext", "pgettext_lazy"}
QUOTED = r"""(?:"(?P<double>(?:[^"\\]|\\.)*)"|'(?P<single>(?:[^'\\]|\\.)*)')"""
TAG = re.compile(r"{%\s*(?:trans|translate)\s+" + QUOTED)
ARGUMENT = re.compile(r"\b_\(" + QUOTED + r"\)")
BLOCK = re.compile(
    r"{%\s*blocktrans(?:late)?(?P<options>[^%]*)%}(?P<text>.*?)"
    r"(?:{%\s*plural[^%]*%}.*?)?{%\s*endblocktrans(?:late)?\s*%}",
    re.DOTALL,
)
VARIABLE = re.compile(r"{{\s*([\w.]+)[^}]*}}")


def main() -> int:
    wanted = dict(_texts())
    missing = 0
    for source in sorted((ROOT / "locale").glob("*/LC_MESSAGES/*.po")):
        present = {entry.source for entry in translations.entries(source) if entry.is_translated}
        for text in sorted(set(wanted) - present):
            print(f"{source.relative_to(ROOT)} lacks {text!r} ({wanted[text]})")
            missing += 1
    return 1 if missing else 0


def _texts() -> Iterator[tuple[str, str]]:
    """Every translatable text with the file that holds it."""
    for folder in CODE:
        for path in (ROOT / folder).rglob("*.py"):
            yield from ((text, str(path.relative_to(ROOT))) for text in _in_code(path))
    templates = [*(ROOT / "templates").rglob("*.html"), *ROOT.glob("*/templates/**/*.html")]
    for path in templates:
        yield from ((text, str(path.relative_to(ROOT))) for text in _in_template(path.read_text()))


def _in_code(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and _name(node.func) in CALLS and node.args:
            place = 1 if "pgettext" in _name(node.func) and len(node.args) > 1 else 0
            argument = node.args[place]
            if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                yield argument.value


def _name(function: ast.expr) -> str:
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def _in_template(text: str) -> Iterator[str]:
    for pattern in (TAG, ARGUMENT):
        for found in pattern.finditer(text):
            yield found["double"] if found["double"] is not None else found["single"]
    for found in BLOCK.finditer(text):
        message = VARIABLE.sub(r"%(\1)s", found["text"])
        if "trimmed" in found["options"]:
            message = " ".join(line.strip() for line in message.strip().splitlines())
        yield message


if __name__ == "__main__":
    sys.exit(main())
