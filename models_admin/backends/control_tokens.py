"""Special tokens typed by people: made harmless before any engine sees them."""

from __future__ import annotations

import re
from typing import Final

# Control tokens of the model families in use; an engine reads them wherever they stand in the text.
_CONTROL = re.compile(
    r"<(?=[|｜][^<>]*[|｜]>"
    r"|/?(?:think|s|bos|eos|pad|unk|mask|tool_call|tool_response|start_of_turn|end_of_turn)>)"
)
_ZERO_WIDTH_SPACE: Final = "\u200b"


def neutralise(text: str) -> str:
    """Text in which no control token is left and which every engine can read.

    A zero-width space behind `<` keeps the look; NUL and lone surrogates become U+FFFD.
    """
    clean = text.replace("\0", "\ufffd") if "\0" in text else text
    if not clean.isascii():
        clean = clean.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return _CONTROL.sub("<" + _ZERO_WIDTH_SPACE, clean) if "<" in clean else clean
