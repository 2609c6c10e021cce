"""The compiler of translations against Python's own reader."""

from __future__ import annotations

import gettext
import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from r1web.supervisor import translations

TEXT = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=30)
HEADER = (
    'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=UTF-8\\n"\n"Plural-Forms: nplurals=1; plural=0;\\n"\n\n'
)


def read(path: Path, body: str) -> gettext.GNUTranslations:
    path.write_text(HEADER + body, encoding="utf-8")
    return gettext.GNUTranslations(io.BytesIO(translations.compiled(path)))


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


@given(st.dictionaries(TEXT, TEXT, max_size=8))
def test_every_text_comes_back_as_it_was_translated(
    tmp_path_factory: pytest.TempPathFactory, texts: dict[str, str]
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.po"
    body = "\n".join(f"msgid {quoted(source)}\nmsgstr {quoted(text)}\n" for source, text in texts.items())
    catalogue = read(path, body)
    assert {source: catalogue.gettext(source) for source in texts} == texts


def test_plurals_contexts_and_continued_lines_are_understood(tmp_path: Path) -> None:
    body = (
        '#: page.html\nmsgctxt "verb"\nmsgid "Stop"\nmsgstr "停止"\n\n'
        'msgid "%d token"\nmsgid_plural "%d tokens"\nmsgstr[0] "%d 个词元"\n\n'
        'msgid ""\n"two "\n"lines"\nmsgstr "两行\\n"\n'
    )
    catalogue = read(tmp_path / "some.po", body)
    assert catalogue.pgettext("verb", "Stop") == "停止"
    assert catalogue.ngettext("%d token", "%d tokens", 2) == "%d 个词元"
    assert catalogue.gettext("two lines") == "两行\n"


def test_doubtful_and_obsolete_texts_are_left_out(tmp_path: Path) -> None:
    body = '#, fuzzy\nmsgid "old"\nmsgstr "alt"\n\n#~ msgid "gone"\n#~ msgstr "weg"\n\nmsgid "empty"\nmsgstr ""\n'
    catalogue = read(tmp_path / "some.po", body)
    assert [catalogue.gettext(word) for word in ("old", "gone", "empty")] == ["old", "gone", "empty"]
