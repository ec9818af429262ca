"""Pure helpers over Unicode text: scripts, sentences, words, graphemes.

Offsets are code points, half-open. Nothing here reads a file, a setting or a model.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from ragkit.hanzi import simplified
from ragkit.visible import visible

if TYPE_CHECKING:
    from collections.abc import Iterator

Language = Literal["zh", "ja", "ko", "en"]

# Scripts, as the insides of regular expression classes (Unicode blocks).
_HAN = "\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
_KANA = "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fd-\u30ff\u31f0-\u31ff\uff66-\uff9d"
_HANGUL = "\u1100-\u11ff\u3131-\u318e\ua960-\ua97c\uac00-\ud7a3\ud7b0-\ud7fb"
_CJK = _HAN + _KANA + "\u30fc" + _HANGUL
_SCRIPTS: Final = {"han": _HAN, "kana": _KANA, "hangul": _HANGUL, "cjk": _CJK}


@cache
def script(name: Literal["han", "kana", "hangul", "cjk"]) -> re.Pattern[str]:
    """Give the pattern of one character of a script; ``cjk`` is all three.

    Compiled when first asked for: together these classes would cost 13 ms of every start.
    """
    return re.compile(f"[{_SCRIPTS[name]}]")


def is_cjk(char: str) -> bool:
    """Say whether a character is an ideograph, kana or hangul (punctuation is not)."""
    return script("cjk").match(char) is not None


def cjk_share(text: str) -> float:
    """How much of a text is CJK, in [0, 1]: characters, among these and words of other scripts.

    One ideograph weighs as much as one word, so that a foreign term does not decide. A text
    without either has none.
    """
    cjk = len(script("cjk").findall(text))
    others = sum(not (w[0].isdigit() or is_cjk(w)) for w in _word().findall(text))
    return cjk / (cjk + others) if cjk else 0.0


def language(text: str) -> Language:
    """Name the language of a text by its script; ``en`` stands for anything else.

    A text that is half CJK is (`cjk_share`). Kana marks Japanese, however few: ideographs alone
    are taken for Chinese.
    """
    if cjk_share(text) < 0.5:
        return "en"
    if len(script("hangul").findall(text)) * 2 > len(script("cjk").findall(text)):
        return "ko"
    return "ja" if script("kana").search(text) else "zh"


# --- sentences ----------------------------------------------------------------------------------

CLOSERS: Final = "”’」』）)】》〉］]｝}\"'»"
CLOSING_PUNCTUATION: Final = frozenset("。！？；．｡，、：”’」』）】》〉］｝»％‰")
"""Marks with which no line may begin (ASCII marks may: ``.. note::``, ``!!! tip``, ``:param``)."""

_LINE_ENDS = r"[^\S\n]*+(?:\n|\Z|[-*+•·][ \t]|\d{1,3}[.)、][ \t]|[|#>]|[（(]\d{1,2}[）)])"
_MARKS = ".!?。！？；…｡"
# The first class is plain so that the search jumps from candidate to candidate; runs are possessive
# so that each is read once, whatever follows. A full stop before a letter or digit ends nothing.
_CANDIDATE = re.compile(
    rf"[\n{_MARKS}](?:(?<=\n)(?={_LINE_ENDS})"
    rf"|(?<!\n)(?!(?<=\.)\w)[{_MARKS}]*+[{re.escape(CLOSERS)}]*+)"
)
_NOT_SPACE = re.compile(r"\S")
_ABBREVIATIONS = frozenset(
    re.findall(
        r"\w+",
        """mr mrs ms dr prof rev gen sen rep st sr jr vs fig figs eq eqs no nos vol vols pp p ch sec
        sect ed eds cf ca approx al inc ltd co corp dept est viz resp tab art arts par bzw usw nr
        abb bspw ggf jan feb mar apr jun jul aug sep sept oct nov dec""",
    )
)
_MAY_END = frozenset(("al", "inc", "ltd", "co", "corp", "jr", "sr", "no", "usw", "a.m", "p.m"))
_OF_TIME = re.compile(r"(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day|[A-Z]{2,4}\b")
"""What goes on behind "p.m.", though in capitals: a day of the week, a time zone."""
_LONGEST_ABBREVIATION = 8
_INITIALS = re.compile(r"(?:[a-zA-Z]\.)*[a-zA-Z]")
_LATIN_ENDS = frozenset(".!?")
_OPENERS = "([{“‘\"'"


def sentences(text: str) -> list[tuple[int, int]]:
    """Find the spans of the sentences of a text, Latin and CJK.

    A sentence ends at 。！？；… with any closing quotes; at ``. ! ?`` before white space unless
    that is an abbreviation, an initial or a list number; at a blank line; and where the
    next line is a list item, a table row, a heading or a quotation.

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
        return text[begin:stop].strip() == word  # "1." alone is a list number
    name = word if "." in word else word.casefold()  # A.M. Jones has initials
    if name in _MAY_END:
        return not text[stop + 2 : stop + 3].isupper() or bool(_OF_TIME.match(text, stop + 2))
    if len(word) == 1 or "." in word:
        return _INITIALS.fullmatch(word) is not None
    return name in _ABBREVIATIONS


# --- words --------------------------------------------------------------------------------------


@cache
def _word() -> re.Pattern[str]:
    return re.compile(rf"[{_CJK}]+|\d{{1,3}}(?:,\d{{3}})+(?:\.\d+)?|\d+(?:\.\d+)+|[^\W_{_CJK}]+")


def words(text: str) -> list[str]:
    """List the words of a text in order, folded, for lexical comparison.

    Folded are compatibility forms (NFKC), case, and traditional characters to simplified ones;
    what nobody sees (soft hyphens, zero-width characters) parts no word.

    A run of CJK becomes its bigrams, a single character itself. Numbers lose the commas
    that group thousands and keep their decimals.
    """
    found: list[str] = []
    folded = simplified(unicodedata.normalize("NFKC", visible(text)).casefold())
    for word in _word().findall(folded):
        if len(word) > 1 and is_cjk(word):
            found.extend(word[i : i + 2] for i in range(len(word) - 1))
        else:
            found.append(word.replace(",", ""))
    return found


# --- headings -----------------------------------------------------------------------------------

_ATTRIBUTES = re.compile(r"\{:?\s*(?:[#.][\w-]|[\w-]+=)[^{}]*\}\Z")
_CLOSING_HASHES = re.compile(r"(?:\A|\s)#+\Z")


def heading_text(line: str) -> str:
    """Take off what closes a Markdown heading: an attribute list such as ``{#top}``, and hashes.

    >>> heading_text("First steps ## { #first-steps }"), heading_text("Notes on C#")
    ('First steps', 'Notes on C#')
    """
    whole = line.strip()
    return _CLOSING_HASHES.sub("", _ATTRIBUTES.sub("", whole).rstrip()).rstrip() or whole


# --- graphemes ----------------------------------------------------------------------------------

_LONGEST_GRAPHEME = 32
_COMBINING = frozenset(("Mn", "Mc", "Me"))


def grapheme_start(text: str, index: int) -> int:
    """Find the last place at or before ``index`` where no visible character would be cut.

    Combining marks, emoji sequences, flags and hangul syllables stay whole. A cluster of more
    than 32 code points may be cut: then ``index`` itself comes back.
    """
    for start in range(index, max(index - _LONGEST_GRAPHEME, 0), -1):
        if start >= len(text) or not _joins(text, start):
            return start
    return index if index > _LONGEST_GRAPHEME else 0


def _joins(text: str, index: int) -> bool:
    before, after = text[index - 1], text[index]
    if after < "\u0300":
        return False
    if before == "\u200d" or after == "\u200d" or "\U0001f3fb" <= after <= "\U0001f3ff":
        return True
    if "\U000e0020" <= after <= "\U000e007f":  # tags: the flags of Scotland and Wales
        return True
    if _is_flag_half(after) and _is_flag_half(before):
        run = index
        while run and _is_flag_half(text[run - 1]) and index - run < _LONGEST_GRAPHEME:
            run -= 1
        return (index - run) % 2 == 1
    if "\u1160" <= after <= "\u11ff":  # hangul vowel or final after a hangul letter
        return script("hangul").match(before) is not None
    return unicodedata.category(after) in _COMBINING


def _is_flag_half(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
