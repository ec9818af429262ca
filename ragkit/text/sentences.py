"""The sentences of a text, Latin and CJK; offsets are code points, half-open."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from ragkit.text.patterns import late_pattern
from ragkit.text.raising import RAISED_DIGITS
from ragkit.text.scripts import is_cjk

if TYPE_CHECKING:
    from collections.abc import Iterator


CLOSERS: Final = "”’」』）)】》〉］]｝}\"'»"
CLOSING_PUNCTUATION: Final = frozenset("。！？；．｡，、：”’」』）】》〉］｝»％‰")
"""Marks with which no line may begin (ASCII marks may: ``.. note::``, ``!!! tip``, ``:param``)."""

_LINE_ENDS = r"[^\S\n]*+(?:\n|\Z|[-*+•·][ \t]|\d{1,3}[.)、][ \t]|[|#>]|[（(]\d{1,2}[）)])"
_MARKS = ".!?。！？；…｡"
# The first class is plain so that the search jumps from candidate to candidate; runs are possessive
# so that each is read once, whatever follows. A full stop before a letter or digit ends nothing.
_CANDIDATE = late_pattern(
    rf"[\n{_MARKS}](?:(?<=\n)(?={_LINE_ENDS})"
    rf"|(?<!\n)(?!(?<=\.)(?![{RAISED_DIGITS}])\w)[{_MARKS}]*+[{re.escape(CLOSERS)}{RAISED_DIGITS}]*+)"
)
_NOT_SPACE = late_pattern(r"\S")
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        """mr mrs ms dr prof rev gen sen rep st sr jr vs fig figs eq eqs no nos vol vols pp p ch sec
        sect ed eds cf ca approx al inc ltd co corp dept est viz resp tab art arts par bzw usw nr
        abb bspw ggf jan feb mar apr jun jul aug sep sept oct nov dec""",
    )
)
_TITLES = frozenset(
    [
        "Adm",
        "Br",
        "Cdr",
        "Cmdr",
        "Col",
        "Cpl",
        "Fr",
        "Gen",
        "Gov",
        "Hon",
        "Insp",
        "Lieut",
        "Maj",
        "Msgr",
        "Pres",
        "Sen",
        "Supt",
    ]
)
"""Ranks and titles, beside those of `_listed`: they go on though a name follows."""

_SMALL = frozenset(["max", "min", "incl", "excl"])
_DAYS = frozenset(["Mon", "Tue", "Tues", "Wed", "Thu", "Thur", "Thurs", "Fri", "Sat", "Sun"])
_MAY_END = frozenset(("al", "inc", "ltd", "co", "corp", "jr", "sr", "no", "usw", "a.m", "p.m"))
_OF_TIME = late_pattern(
    r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|[A-Z]{2,4}\b"
    r"|(?:January|February|March|April|May|June|July|August|September|October|November|December)\b"
)
"""What goes on behind "p.m." or "Mon.", though in capitals: a day, a month, a time zone."""

_ORDINAL_BEHIND = late_pattern(
    r"\b(?:der|die|das|den|dem|des|am|im|vom|zum|zur|beim|ab|bis|seit|jede[rsnm]?|unser|ihr|sein)"
    r"\s+\d{1,2}\Z",
    re.IGNORECASE,
)
_ORDINAL_BEFORE = late_pattern(
    r"\s+(?:[a-zäöüß]|Jan(?:uar|\.)|Jänner|Feb(?:ruar|\.)|März|Apr(?:il|\.)|Mai\b|Juni\b|Juli\b"
    r"|Aug(?:ust|\.)|Sep(?:tember|t?\.)|Okt(?:ober|\.)|Nov(?:ember|\.)|Dez(?:ember|\.)|Jahrhundert"
    r"|Jh)"
)
"""A full stop behind a figure makes it an ordinal in German and Nordic languages: "am 3. Mai"."""

_LONGEST_ABBREVIATION = 8
_INITIALS = late_pattern(r"(?:[a-zA-Z]\.)*[a-zA-Z]")
_LATIN_ENDS = frozenset(".!?")
_OPENERS = "([{“‘\"'"


def sentences(text: str) -> list[tuple[int, int]]:
    """Find the spans of the sentences of a text, Latin and CJK.

    A sentence ends at 。！？；… with any closing quotes; at ``. ! ?`` before white space unless
    that is an abbreviation, an initial or a list number; at a blank line; and before
    a line that is a list item, a table row, a heading or a quotation.

    Returns:
        Spans in order, without surrounding white space, that cover all other characters.
    """
    spans: list[tuple[int, int]] = []
    begin = 0
    for end in _ends(text):
        first = _NOT_SPACE.search(text, begin, end)
        if first:
            start = first.start()
            trim = text[end - 1].isspace()
            spans.append((start, start + len(text[start:end].rstrip()) if trim else end))
        begin = end
    return spans


def _ends(text: str) -> Iterator[int]:
    begin = 0
    for match in _CANDIDATE.finditer(text):
        start, end = match.span()
        if text[start] not in _LATIN_ENDS or _latin_end(text, begin, start, end):
            yield end
            begin = end
    yield len(text)


def _latin_end(text: str, begin: int, start: int, end: int) -> bool:
    """Say whether the run of marks and closers at ``start:end`` ends a sentence."""
    following = text[end : end + 1]
    if following and not following.isspace():
        return text[start] != "." and is_cjk(following)
    if end - start > 1:  # “What?” he said; wait ... what
        return not text[end + 1 : end + 2].islower()
    return text[start] != "." or not _is_abbreviation(text, begin, start)


def _is_abbreviation(text: str, begin: int, stop: int) -> bool:
    """Say whether the full stop at ``stop`` belongs to an abbreviation or a list number."""
    head = text[max(begin, stop - _LONGEST_ABBREVIATION - 2) : stop].rsplit(None, 1)
    word = head[-1].lstrip(_OPENERS) if head else ""
    if len(word) > _LONGEST_ABBREVIATION:
        return False
    if word.isdigit():
        return _is_ordinal(text, begin, stop) or text[begin:stop].strip() == word  # "1." alone
    name = word if "." in word else word.casefold()  # A.M. Jones has initials
    if name in _MAY_END:
        return not text[stop + 2 : stop + 3].isupper() or bool(_OF_TIME.match(text, stop + 2))
    if len(word) == 1 or "." in word:
        return _INITIALS.fullmatch(word) is not None
    if name in _ABBREVIATIONS or word in _TITLES or word in _SMALL:
        return True
    always, may_end = _listed()
    if word in always:
        return True
    if word in _DAYS or word in may_end or word.casefold() in always:
        return not text[stop + 2 : stop + 3].isupper() or bool(_OF_TIME.match(text, stop + 2))
    return False


def _is_ordinal(text: str, begin: int, stop: int) -> bool:
    if _ORDINAL_BEFORE.match(text, stop + 1):
        return True
    following = text[stop + 1 : stop + 3].strip()
    return following[:1].isupper() and bool(
        _ORDINAL_BEHIND.search(text, max(begin, stop - 16), stop)
    )


@cache
def _listed() -> tuple[frozenset[str], frozenset[str]]:
    """The abbreviations of ``abbreviations.txt``: those that end no sentence, those that may."""
    lines = files("ragkit.text").joinpath("abbreviations.txt").read_text("utf-8").splitlines()
    listed = [word for line in lines if not line.startswith("#") for word in line.split()]
    may_end = frozenset(word[1:] for word in listed if word.startswith("?"))
    return frozenset(word for word in listed if not word.startswith("?")), may_end
