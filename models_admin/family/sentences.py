"""What all sentences share in both languages: the comma of lists, and the room beside names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from django.utils.translation import pgettext

_BETWEEN_HAN = re.compile(r"(?<=[\u3400-\u9fff]) (?=[\u3400-\u9fff])")


def listed(parts: Iterable[str]) -> str:
    """With the comma of the reader's language; empty parts are left out."""
    return pgettext("between the parts of a list", ", ").join(filter(None, parts))


def filled(sentence: str, about: Mapping[str, object]) -> str:
    """Chinese sentences keep a space on each side of a name, for Latin ones; beside a Chinese name it goes."""
    return close_up(sentence % about)


def close_up(sentence: str) -> str:
    """Without spaces between Chinese characters."""
    return _BETWEEN_HAN.sub("", sentence)
