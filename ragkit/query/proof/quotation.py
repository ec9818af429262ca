"""Does a text stand word for word in another?"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ragkit.query.proof.analysed import AnalysedText
from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import is_cjk
from ragkit.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

_NUMERALS = frozenset(
    "0123456789〇零一二三四五六七八九十百千万亿萬億两兩壹贰叁肆伍陆柒捌玖拾佰仟点點"
)
"""Between two of these a number may go on: 三 is not quoted from 三十."""

MIN_QUOTED_WORDS = 3
"""Shortest verbatim text that is called a quotation: words, or pairs of CJK characters."""


_SIGNS = frozenset("$€£¥₹₩<>≤≥")
"""Beside a figure they are part of it: €5 is not $5, and < 5 not > 5."""
_BEHIND = 3
"""Characters behind a sign in which its figure begins: ``>= 5``."""

_LIMITED_BEFORE = late_pattern(
    r"\b(?:if|unless|provided that|in case|whether)\b(?![^,]*\botherwise\b)|(?:如果|倘若|假如|只要"
    r"|除非|是否|若(?![干无非]))"
    r"|\b(?:not(?! only)|never|nor|neither|nobody|cannot|\w+n['’]t|false|untrue|den(?:y|ies|ied)"
    r"|doubt(?:s|ed|ful)"
    r"|allegedly|reportedly|supposedly|perhaps|possibly|may|might"
    r"|believ(?:es?|ed)|expect(?:s|ed)|fear(?:s|ed)|suspect(?:s|ed)|assum(?:es?|ed)|alleg(?:es?|ed)"
    r"|(?:hop(?:es?|ed)|claim(?:s|ed)|plan(?:s|ned)|intend(?:s|ed)|want(?:s|ed)) (?:that|to))\b"
    r"[^,;:]*\Z"
    r"|(?:并非|并不|不是|没有|未|否认|据称|据说|可能|认为|声称|怀疑|预计|希望|计划|打算)[^，；：]*\Z"
)
_LIMITED_BEHIND = late_pattern(
    r"\A\W{0,3}(?:only|but not|if|unless|except|provided|as long as|in"
    r" case)\b(?!.*\botherwise\b)|\A之一|\A\s+(?:not|never|no longer)\b(?! only)"
    r"|\b(?:unless|only if|provided that)\b(?!.*\botherwise\b)|\A[，,；]?(?:如果|除非"
    r"|若(?![干无非]))|(?<!另有规定的)(?<!另有约定的)除外"
)

_COLON, _SEMICOLON = late_pattern("[:：]"), late_pattern("[;；]")
_LAST_AND = late_pattern(r"\s(?:and|but|while|whereas)\s+\Z")
_OWN_SUBJECT = late_pattern(
    r"\A\W*(?:an?|the|this|these|those|it|he|she|they|we|you|i|our|its|their|his|her|all|each|every"
    r"|there)\b.*\b(?:is|are|was|were|has|have|had|does|do|did|can|could|must|shall|should|will"
    r"|would)\b"
)
_REPORTED = late_pattern(r"\b(?:that|whether|if|unless|den(?:y|ies|ied)|doubt(?:s|ed)?|true)\b")
"""What lies behind such a word may all be denied: it is not true that one and the other is."""


def verbatim_span(sentence: AnalysedText, text: AnalysedText) -> tuple[int, int] | None:
    """Find where a sentence stands in a text; case, white space and punctuation aside.

    A sentence of fewer than `MIN_QUOTED_WORDS` words is never found: it could stand anywhere.
    """
    return next(_verbatim_spans(sentence, text), None)


def quoted_span(sentence: AnalysedText, text: AnalysedText) -> tuple[int, int] | None:
    """Find where a sentence stands in a text, and is not cut off from what denies or limits it.

    >>> from ragkit.query.proof.analysed import AnalysedText
    >>> rule = AnalysedText("Entry is free unless a concert is announced.")
    >>> quoted_span(AnalysedText("Entry is free"), rule)
    >>> quoted_span(AnalysedText("a concert is announced"), rule)
    >>> quoted_span(AnalysedText("Entry is free unless a concert is announced"), rule)
    (0, 43)
    """
    spans = _verbatim_spans(sentence, text)
    return next((span for span in spans if not _is_cut_short(text, *span)), None)


def _is_cut_short(text: AnalysedText, start: int, end: int) -> bool:
    """Whether the sentence of a text in which a stretch stands denies or limits the stretch."""
    for begin, stop in text.once(_sentences):
        if begin <= start and end <= stop:
            # Each is folded by itself: a letter such as ﬁ grows, and all behind it moves.
            before, said, behind = (
                AnalysedText(text.text[one:other]).casefolded
                for one, other in ((begin, start), (start, end), (end, stop))
            )
            if _LIMITED_BEHIND.search(behind):
                return True
            if not _COLON.search(before):  # a list that it opens goes on behind a semicolon
                before = _SEMICOLON.split(before)[-1]
            if _OWN_SUBJECT.search(said) and not _REPORTED.search(before):
                before = _LAST_AND.sub(",", before)
            return _LIMITED_BEFORE.search(before) is not None
    return False


def _sentences(text: AnalysedText) -> list[tuple[int, int]]:
    return sentences(text.text)


def _verbatim_spans(sentence: AnalysedText, text: AnalysedText) -> Iterator[tuple[int, int]]:
    if len(sentence.words) < MIN_QUOTED_WORDS:
        return
    needle, _ = sentence.once(_folded)
    hay, offsets = text.once(_folded)
    begin = hay.find(needle)
    while begin >= 0:
        end = begin + len(needle)
        if _parted(hay, begin) and _parted(hay, end):
            yield offsets[begin], offsets[end - 1] + 1
        begin = hay.find(needle, begin + 1)


def _folded(text: AnalysedText) -> tuple[str, list[int]]:
    return fold(text.text)


def fold(text: str) -> tuple[str, list[int]]:
    """Reduce a text to what a quotation must keep, with the offset of each character kept.

    Letters and digits stay, folded in case and width; so do decimal points, per cent signs,
    a minus before a figure, and beside one the signs of currencies and of more and less.
    Between two words of an alphabet one space stays.
    """
    chars: list[str] = []
    offsets: list[int] = []
    apart = False
    for i, raw in enumerate(text):
        folded = unicodedata.normalize("NFKC", raw).casefold()
        if not (_kept(folded, text[i - 1 : i], text[i + 1 : i + 2]) or _is_sign(text, i)):
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
    return folded in ("%", "‰") or (folded.isalnum() and bool(folded))


def _is_sign(text: str, at: int) -> bool:
    """Whether a character is a sign of a currency or of more or less, beside a figure."""
    if unicodedata.normalize("NFKC", text[at]) not in _SIGNS:
        return False
    behind = text[at + 1 : at + 1 + _BEHIND].lstrip(" =.")
    return behind[:1].isdigit() or text[max(0, at - 2) : at].rstrip()[-1:].isdigit()


def _parted(folded: str, at: int) -> bool:
    """True if no word or figure of a folded text runs across an offset."""
    before, after = folded[at - 1 : at] if at else "", folded[at : at + 1]
    if not before or not after or " " in (before, after):
        return True
    if _NUMERALS.issuperset((before, after)):
        return False
    return (is_cjk(before) or is_cjk(after)) and not (before.isdigit() and after == ".")
