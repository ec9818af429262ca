"""What a keyword index is given of a text, and which terms a question is searched by.

Tokenizers take an unbroken run of Chinese for one word, so that nothing is ever found in it. Here
each run of CJK characters becomes its overlapping pairs, in text and question alike; so does a run
of Thai, Lao, Khmer or Burmese, by letters with their marks. A change of these rules makes another
keyword index: their number is in docs/format.md.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern
from ragkit.text.raising import unraise
from ragkit.text.scripts import join_lines, script_class
from ragkit.text.visible import visible
from ragkit.text.words import bigrams, simplified

if TYPE_CHECKING:
    from collections.abc import Iterator

_CJK = script_class("indexed")
_CJK_RUN = late_pattern(f"[{_CJK}]+")
_TERM = late_pattern(f"[{_CJK}]+|[^\\W_{_CJK}]+")

# Line ends ---------------------------------------------------------------------------------------

_UNSPACED_CJK = script_class("han") + script_class("kana") + "ー"
_LINE_HYPHEN = late_pattern(r"[-‐\u00ad][ \t]*\n")
_BROKEN_WORD = late_pattern(r"([^\W\d_]+)[-‐][ \t]*\n[ \t]*([^\W\d_A-Z]\w*)")
_SOFT_BREAK = late_pattern(r"\u00ad[ \t]*\n[ \t]*")
_SPACED = late_pattern(
    rf"(?<![{_UNSPACED_CJK}])[{_UNSPACED_CJK}](?:[ \u3000][{_UNSPACED_CJK}]){{2,}}"
    rf"(?![{_UNSPACED_CJK}])"
)
"""Ideographs each with a space behind it, as text recognition writes them."""


# Numbers -----------------------------------------------------------------------------------------

_UNITS = (
    "mm|cm|km|m|mg|kg|g|ml|cl|l|t|h|min|ms|s|kb|mb|gb|tb|khz|mhz|ghz|hz|kwh|kw|mw|w|v|ma|a"
    "|ha|ft|in|yd|mi|lbs?|oz|pt|px|dpi|c|f|db|kpa|hpa|pa|bar|rpm|kn|nm|eur|usd|gbp"
)
_AMOUNT = late_pattern(
    rf"(?<![\w.,])(?:(?P<figure>\d+)(?P<space>[ ]?)(?P<unit>{_UNITS})(?!\w)"
    r"|(?P<grouped>\d{1,3}(?:[,'’. ]\d{3})+)(?!\d|[.,]\d{3})"
    r"|(?P<plain>[1-9]\d{3,14})(?!\w))",
    re.IGNORECASE,
)

# Marks -------------------------------------------------------------------------------------------

_POINTS = late_pattern(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f"
    "\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed]"
)
"""What may be written above and below letters or not: Hebrew points, Arabic vowels, accents."""

_MARKED = late_pattern("[\u0900-\u1aff\ua800-\uabff]")
_UNSPACED = "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1050-\u108f\u1780-\u17d3"
"""Thai, Lao, Burmese and Khmer, which put no spaces between words."""

_FIRST_PRIVATE, _SECOND_PRIVATE = 0xE000, 0xF200


@dataclass(frozen=True, slots=True)
class QueryTerm:
    """A term of a question: a text has it if it has one of the `forms`.

    A form of several words is there where they follow each other. If `is_prefix`, a term that
    begins with a form is enough.
    """

    forms: tuple[str, ...]
    is_prefix: bool = False


def index_text(text: str) -> str:
    r"""Prepare a text for a keyword index: its terms folded, CJK runs as overlapping pairs.

    A run's last character stands behind its pairs, so that it too begins a term. Only letters
    and digits are kept, since FTS5's tokenizer, of Unicode 6.1, takes newer emoji and currency
    signs for letters of the word beside them. Of ASCII text only what nobody sees is left out.
    A word that a hyphen breaks at a line's end stands behind its halves as a whole, too.

    >>> index_text("用iPhone看电影🤔")
    '用 iPhone 看电 电影 影'
    >>> index_text("navi-\ngation")
    'navi-\ngation navigation'
    """
    if _LINE_HYPHEN.search(text):
        text = _BROKEN_WORD.sub(r"\g<0> \1\2", _SOFT_BREAK.sub("", text))
    if text.isascii():
        return visible(text)
    folded = simplified(_composed(text))
    if _MARKED.search(folded):
        return " ".join(_spread_marked(found[0]) for found in _marked_term().finditer(folded))
    return " ".join(map(_spread, _TERM.findall(folded)))


def query_terms(question: str) -> list[QueryTerm]:
    """List the distinct terms of a question, in order.

    A single CJK character becomes a prefix: each character of a run begins a term. What is
    folded is searched for as written, too: so it stands in Japanese texts, which are not folded.
    A number is searched for with and without marks that group it, an amount with and without a
    space before its unit.

    >>> query_terms("東京 VPN")
    [QueryTerm(forms=('东京', '東京'), is_prefix=False), QueryTerm(forms=('VPN',), is_prefix=False)]
    >>> [term.forms for term in query_terms("48,200 by 40m")]
    [('48200', '48 200'), ('by',), ('40m', '40 m')]
    """
    written = _composed(question)
    found: list[tuple[int, QueryTerm]] = []
    for match in _AMOUNT.finditer(written):
        found += ((match.start(), term) for term in _amount_terms(match))
        written = _blanked(written, match)
    if _MARKED.search(written):
        for match in _marked_term().finditer(written):
            if _MARKED.search(match[0]):
                found += ((match.start(), term) for term in _marked_query(match[0]))
                written = _blanked(written, match)
    folded = simplified(written)  # one for one: a term stands at the same place in both
    for match in _TERM.finditer(folded):
        found += ((match.start(), term) for term in _plain_terms(match, written))
    found.sort(key=lambda pair: pair[0])
    return list(dict.fromkeys(term for _, term in found))


def _plain_terms(match: re.Match[str], written: str) -> Iterator[QueryTerm]:
    word = match[0]
    if not _CJK_RUN.match(word):
        yield QueryTerm((word,))
        return
    for forms in zip(bigrams(word), bigrams(written[slice(*match.span())]), strict=True):
        yield QueryTerm(tuple(dict.fromkeys(forms)), is_prefix=len(word) == 1)


def _amount_terms(match: re.Match[str]) -> list[QueryTerm]:
    """A number or an amount in the forms that a text may have it in."""
    if figure := match["figure"]:
        joined = figure + match["unit"]
        terms = [QueryTerm((joined, f"{figure} {match['unit']}"))]
        return [QueryTerm((figure, joined)), *terms] if match["space"] else terms
    digits = re.sub(r"\D", "", match[0])
    head = len(digits) % 3
    groups = [digits[:head]] if head else []
    groups += [digits[i : i + 3] for i in range(head, len(digits), 3)]
    return [QueryTerm((digits, " ".join(groups)))]


def _blanked(text: str, match: re.Match[str]) -> str:
    return text[: match.start()] + " " * len(match[0]) + text[match.end() :]


def _composed(text: str) -> str:
    # A word with a soft hyphen or a zero-width space in it is the word that its reader sees.
    if not text.isascii():
        text = _SPACED.sub(lambda run: re.sub(r"\s", "", run[0]), join_lines(text))
    composed = unicodedata.normalize("NFKC", unraise(visible(text)))
    return composed if composed.isascii() else _POINTS.sub("", composed)


def _spread(term: str) -> str:
    if not _CJK_RUN.match(term):
        return term
    pairs = bigrams(term)
    return " ".join(pairs if len(term) == 1 else [*pairs, term[-1]])


# Scripts whose vowels are marks ------------------------------------------------------------------


@cache
def _marks() -> str:
    """The vowel signs and tone marks of Indic scripts, Thai and their kin, for a pattern."""
    codes = (*range(0x900, 0x1B00), *range(0xA800, 0xAC00))
    return "".join(chr(c) for c in codes if unicodedata.category(chr(c)) in ("Mn", "Mc"))


@cache
def _marked_term() -> re.Pattern[str]:
    letter = f"[^\\W_{_CJK}{_UNSPACED}]"
    return re.compile(f"[{_CJK}]+|[{_UNSPACED}]+|{letter}(?:{letter}|[{_marks()}])*")


@cache
def _cluster() -> re.Pattern[str]:
    return re.compile(f".[{_marks()}]*", re.DOTALL)


@cache
def _private() -> dict[int, int]:
    """A private character for each mark: FTS5 takes marks for blanks, and these for letters."""
    codes = map(ord, _marks())
    return {
        c: c - 0x900 + _FIRST_PRIVATE if c < 0xA800 else c - 0xA800 + _SECOND_PRIVATE for c in codes
    }


def _spread_marked(term: str) -> str:
    if not re.match(f"[{_UNSPACED}]", term):
        return _spread(term).translate(_private())
    return " ".join(_cluster_pairs(term, with_last=True))


def _cluster_pairs(run: str, *, with_last: bool) -> list[str]:
    """The overlapping pairs of a run's letters, each with its marks."""
    letters = [found.translate(_private()) for found in _cluster().findall(run)]
    pairs = [a + b for a, b in pairwise(letters)]
    return [*pairs, letters[-1]] if with_last or not pairs else pairs


def _marked_query(term: str) -> list[QueryTerm]:
    """The terms of a run with marks; the first also as indexes hold it that were made before 3."""
    if re.match(f"[{_UNSPACED}]", term):
        forms = _cluster_pairs(term, with_last=False)
    else:
        forms = [term.translate(_private())]
    before = " ".join(_TERM.findall(term))
    is_prefix = len(_cluster().findall(term)) == 1
    first = (forms[0], before) if before and before != forms[0] else (forms[0],)
    return [QueryTerm(first, is_prefix=is_prefix), *(QueryTerm((form,)) for form in forms[1:])]
