"""Text of a PDF that is none: by a wrong table of letters, signs that are not what is seen."""

from __future__ import annotations

import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ragkit.ingest.load.readers.pdf_content import Shown

_FEWEST = 8  # signs by which a font is judged, and as many for a text
_FEWEST_MARKS = 24
_ALIKE = 5  # different codes that become one sign
_MOSTLY = 0.5
_FEW_LETTERS = 0.35
_NO_LETTERS = frozenset(("Co", "Cn", "Cs", "Cc"))
_REPLACEMENT = "\ufffd"


def garbled_fonts(shown: Sequence[Shown]) -> set[int]:
    """The ids of the fonts of a page whose texts are no text.

    Those give one sign for what are different codes (打打打), or signs that stand for no letter:
    private ones, unassigned ones, U+FFFD. One without any table of letters gives, for letters that
    its maker numbered, marks and figures: ``!"# $%``.
    """
    texts: dict[int, list[Shown]] = {}
    for text in shown:
        if text.font is not None and text.font.tells_letters:
            texts.setdefault(id(text.font), []).append(text)
    return {key for key, found in texts.items() if _is_garbled_font(found)}


def _is_garbled_font(texts: Sequence[Shown]) -> bool:
    signs = _signs("".join(text.text for text in texts))
    font = texts[0].font
    if font is None or len(signs) < _FEWEST:
        return False
    if _tell_nothing(signs):
        return True
    if font.is_guessed and _are_marks(signs):
        return True
    codes = {code for text in texts for code in font.codes(text.codes)}
    return len(codes) >= _ALIKE * len(set(signs))


def is_garbled(text: str) -> bool:
    """Whether a page's text says nothing: one letter over and over, marks, signs for no letter.

    >>> is_garbled("打打打打 打打打打"), is_garbled("a text of many letters")
    (True, False)
    """
    signs = _signs(text)
    if len(signs) < _FEWEST:
        return False
    often = Counter(signs).most_common(1)[0]
    if _tell_nothing(signs) or _are_marks(signs):
        return True
    return often[0].isalpha() and often[1] > _MOSTLY * len(signs)


def _signs(text: str) -> list[str]:
    return [char for char in text if not char.isspace()]


def _are_marks(signs: Sequence[str]) -> bool:
    """Whether few of many signs are letters or figures."""
    letters = sum(map(str.isalnum, signs))
    return len(signs) >= _FEWEST_MARKS and letters < _FEW_LETTERS * len(signs)


def _tell_nothing(signs: Sequence[str]) -> bool:
    found = [char == _REPLACEMENT or unicodedata.category(char) in _NO_LETTERS for char in signs]
    return sum(found) > _MOSTLY * len(found)
