"""Does a text stand word for word in another?"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ragkit.text.scripts import is_cjk

if TYPE_CHECKING:
    from ragkit.query.proof.analysed import AnalysedText

_NUMERALS = frozenset(
    "0123456789〇零一二三四五六七八九十百千万亿萬億两兩壹贰叁肆伍陆柒捌玖拾佰仟点點"
)
"""Between two of these a number may go on: 三 is not quoted from 三十."""

MIN_QUOTED_WORDS = 3
"""Shortest verbatim text that is called a quotation: words, or pairs of CJK characters."""


def verbatim_span(sentence: AnalysedText, text: AnalysedText) -> tuple[int, int] | None:
    """Find where a sentence stands in a text; case, white space and punctuation aside.

    A sentence of fewer than `MIN_QUOTED_WORDS` words is never found: it could stand anywhere.
    """
    if len(sentence.words) < MIN_QUOTED_WORDS:
        return None
    needle, _ = sentence.once(_folded)
    hay, offsets = text.once(_folded)
    begin = hay.find(needle)
    while begin >= 0:
        end = begin + len(needle)
        if _parted(hay, begin) and _parted(hay, end):
            return offsets[begin], offsets[end - 1] + 1
        begin = hay.find(needle, begin + 1)
    return None


def _folded(text: AnalysedText) -> tuple[str, list[int]]:
    return fold(text.text)


def fold(text: str) -> tuple[str, list[int]]:
    """Reduce a text to what a quotation must keep, with the offset of each character kept.

    Letters and digits stay, folded in case and width; so do decimal points, per cent signs
    and a minus before a figure. Between two words of an alphabet one space stays.
    """
    chars: list[str] = []
    offsets: list[int] = []
    apart = False
    for i, raw in enumerate(text):
        folded = unicodedata.normalize("NFKC", raw).casefold()
        if not _kept(folded, text[i - 1 : i], text[i + 1 : i + 2]):
            apart = apart or unicodedata.category(raw) != "Cf"
            continue
        if apart and chars and not (is_cjk(chars[-1]) or is_cjk(folded[0])):
            chars.append(" ")
            offsets.append(i)
        chars += folded
        offsets += [i] * len(folded)
        apart = False
    return "".join(chars), offsets


def _kept(folded: str, before: str, after: str) -> bool:
    if folded in (".", "-", "−"):
        return after.isdigit() and (before.isdigit() if folded == "." else not before.isalnum())
    return folded == "%" or (folded.isalnum() and bool(folded))


def _parted(folded: str, at: int) -> bool:
    """True if no word or figure of a folded text runs across an offset."""
    before, after = folded[at - 1 : at] if at else "", folded[at : at + 1]
    if not before or not after or " " in (before, after):
        return True
    if _NUMERALS.issuperset((before, after)):
        return False
    return (is_cjk(before) or is_cjk(after)) and not (before.isdigit() and after == ".")
