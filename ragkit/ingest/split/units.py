"""Units: the small stretches of text that stay together when chunks are filled."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from ragkit.ingest.split.scanners import Block, Level
from ragkit.text.patterns import late_pattern
from ragkit.text.scripts import grapheme_start
from ragkit.text.sentences import CLOSING_PUNCTUATION, sentences
from ragkit.text.tokens import TOKEN_UNIT, fit, token_weight

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class Limits(NamedTuple):
    """Sizes as token weights (hundredths of a token)."""

    high: int  # no chunk is heavier
    low: int  # a chunk ends at or above this, where the text allows it
    overlap: int

    @property
    def sentence(self) -> int:
        """Longer sentences are cut. Leaves room for a heading before one."""
        return self.high * 3 // 4

    @property
    def piece(self) -> int:
        """Weight of the pieces of a sentence that is cut."""
        return self.high // 4


def limits(chunk_tokens: int, overlap_tokens: int, cap_tokens: int) -> Limits:
    """Turn sizes in tokens into weights: the window reaches from 3/4 to 5/4 of the aim."""
    high = min(chunk_tokens * 5 // 4, cap_tokens) * TOKEN_UNIT
    low = high * 3 // 5
    return Limits(high, low, min(overlap_tokens * TOKEN_UNIT, low // 2))


Splitter = tuple["Callable[[str], list[tuple[int, int]]]", Level]

_LINE = late_pattern(r"\S[^\n]*+")
_NOT_SPACE = late_pattern(r"\S")
_FURTHER = 32  # code points beyond a piece's end in which a good cut is looked for
_NEVER_FIRST = CLOSING_PUNCTUATION | frozenset(",.;:!?)]}")
_GAPS = {white: token_weight(white) for white in (" ", "\n", "\n\n")}


def _lines(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in _LINE.finditer(text)]


_LADDERS: dict[str, tuple[Splitter, ...]] = {
    "text": ((sentences, Level.SENTENCE), (_lines, Level.LINE)),
    "code": ((_lines, Level.LINE),),
    "rows": ((_lines, Level.LINE),),
}


class Units:
    """The units of a stretch of text, in order: one list a property, which is quick to fill.

    A block of at most ``sizes.low`` is a unit. What is heavier goes down a ladder: sentences,
    lines, then pieces of words.

    Attributes:
        starts: Where each begins: never at white space.
        ends: Where each ends: never behind white space.
        levels: What kind of boundary lies before each.
        gaps: Weight of the white space before each.
        totals: Weight of all before each, gaps included, and at last of all.
    """

    def __init__(self, text: str, blocks: Sequence[Block], end: int, sizes: Limits) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.levels: list[Level] = []
        self.gaps: list[int] = []
        self.totals: list[int] = [0]
        self._text = text
        self._sizes = sizes
        self._sentence = sizes.sentence
        for block, following in pairwise([*blocks, Block(end, Level.BLOCK)]):
            ladder = _LADDERS[block[2]]
            self._add((block[0], following[0]), block[1], ladder, most=sizes.low)

    def __len__(self) -> int:
        """Count the units."""
        return len(self.starts)

    def _add(
        self, span: tuple[int, int], level: Level, ladder: tuple[Splitter, ...], *, most: int
    ) -> None:
        """Add a span of the text, which begins at a boundary of ``level``."""
        start, end = span
        part = self._text[start:end].rstrip()
        weight = token_weight(part)
        if weight <= most:
            self._append(start, start + len(part), weight, level)
        elif ladder:
            (split, lower), rest = ladder[0], ladder[1:]
            for s, e in split(part):
                self._add((start + s, start + e), level, rest, most=self._sentence)
                level = lower
        else:
            self._add_pieces(start, start + len(part), level)

    def _add_pieces(self, start: int, end: int, level: Level) -> None:
        while start < end:
            stop = self._cut(start, end)
            part = self._text[start:stop].rstrip()
            self._append(start, start + len(part), token_weight(part), level)
            following = _NOT_SPACE.search(self._text, stop, end)
            start, level = (following.start() if following else end), Level.WORD

    def _cut(self, start: int, end: int) -> int:
        """Cut off a piece behind a word or a comma, else between visible characters."""
        text, stop = self._text, fit(self._text, start, self._sizes.piece)
        if stop >= end:
            return end
        middle = (start + stop) // 2
        soft = 1 + max(text.rfind(mark, middle, stop) for mark in " \n\t，、：,;")
        if soft and _may_begin(text, soft):
            return soft
        best = self._bare_cut(range(stop, middle, -1))
        if best is None:  # marks only, or one character of many code points: larger, if it fits
            far = min(fit(text, start, self._sizes.high), end)
            best = self._bare_cut(range(stop + 1, min(far, stop + _FURTHER) + 1))
        return best or max(grapheme_start(text, stop), start + 1)

    def _bare_cut(self, places: range) -> int | None:
        text = self._text
        for place in places:
            if _may_begin(text, place) and grapheme_start(text, place) == place:
                return place
        return None

    def _append(self, start: int, end: int, weight: int, level: Level) -> None:
        gap, totals = 0, self.totals
        if self.ends:
            white = self._text[self.ends[-1] : start]
            gap = _GAPS.get(white) or token_weight(white)
            if self._text[start] in CLOSING_PUNCTUATION:
                joined = totals[-1] - totals[-2] - self.gaps[-1] + gap + weight
                if joined <= self._sizes.high:
                    self.ends[-1] = end
                    totals[-1] += gap + weight
                    return
        self.starts.append(start)
        self.ends.append(end)
        self.levels.append(level)
        self.gaps.append(gap)
        totals.append(totals[-1] + gap + weight)


def _may_begin(text: str, index: int) -> bool:
    """Say whether a piece may begin at what is not white space from ``index`` on."""
    first = text[index : index + 1]
    if first.isspace():
        found = _NOT_SPACE.search(text, index, index + _FURTHER)
        first = found[0] if found else ""
    return first not in _NEVER_FIRST
