"""Filling chunks: a stretch of text is cut into small units, and units are packed.

A chunk may end anywhere within a window of sizes. Among the places within it the best kind of
boundary wins (`Level`) and, among equals, the one whose following words hash lowest. So the
choice depends on the text nearby and not on all that went before: after an insertion the old
boundaries are soon found again, and the chunks behind it stay as they were.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from ragkit.split.blocks import Block, Level
from ragkit.text import (
    CLOSING_PUNCTUATION,
    TOKEN_UNIT,
    fit,
    grapheme_start,
    sentences,
    token_weight,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Limits(NamedTuple):
    """Sizes as token weights (hundredths of a token)."""

    high: int  # no chunk is heavier
    low: int  # a chunk ends at or above this, where the text allows it
    overlap: int

    @property
    def unit(self) -> int:
        """A unit of this weight always leaves a cut between ``low`` and ``high``."""
        return self.high - self.low

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


class Unit(NamedTuple):
    """Text that stays together. ``gap`` weighs the white space before it."""

    start: int
    end: int
    gap: int
    weight: int
    level: Level


class Piece(NamedTuple):
    """A chunk's place: ``start:end``, of which ``core:end`` is not in the piece before."""

    start: int
    core: int
    end: int


def pack(text: str, blocks: Sequence[Block], end: int, sizes: Limits) -> Iterator[Piece]:
    """Pack the text from the first block to ``end`` into pieces, in order."""
    units = _units(text, blocks, end, sizes)
    totals = list(accumulate((u.gap + u.weight for u in units), initial=0))
    first, previous = 0, None
    while first < len(units):
        unit = units[first]
        start = unit.start
        if previous is not None and unit.level < Level.SECTION:
            start = _overlap_start(text, units, (previous, first), sizes)
        before = token_weight(text[start : unit.start]) if start < unit.start else 0
        if before + unit.weight > sizes.high:
            start, before = unit.start, 0
        after = _end_unit(text, units, first, totals, before, sizes)
        yield Piece(start, unit.start, units[after - 1].end)
        first, previous = after, first


def _end_unit(
    text: str, units: list[Unit], first: int, totals: list[int], before: int, sizes: Limits
) -> int:
    """Choose the unit before which the piece that begins with ``first`` ends."""
    base = totals[first] + units[first].gap - before
    rest = totals[-1] - base
    if rest <= sizes.high:
        return len(units)
    # The last piece is not to be a scrap.
    top = min(sizes.high, max(sizes.low, rest - sizes.low // 2))
    furthest = max(bisect_right(totals, base + sizes.high) - 1, first + 1)
    places = range(first + 1, furthest + 1)
    inside = [i for i in places if sizes.low <= totals[i] - base <= top]
    if not inside:
        most = rest - sizes.low // 4
        return max(
            (i for i in places if sizes.low // 2 <= totals[i] - base <= most), default=furthest
        )
    best = max(units[i].level for i in inside)
    equals = [i for i in inside if units[i].level == best]
    return min(equals, key=lambda i: _hash(text, units[i])) if len(equals) > 1 else equals[0]


def _hash(text: str, unit: Unit) -> int:
    return crc32(text[unit.start : min(unit.end, unit.start + 64)].encode("utf-8", "replace"))


def _overlap_start(text: str, units: list[Unit], span: tuple[int, int], sizes: Limits) -> int:
    """Find where the repeated sentences before a unit begin; the unit's start if there are none.

    Args:
        text: The text.
        units: All units.
        span: The first unit of the piece before, and the unit in question.
        sizes: The overlap's limit is taken from here.
    """
    first, last = span
    boundary = units[last].start
    lower = last
    while lower > first and units[lower].level not in (Level.SECTION, Level.GLUE):
        lower -= 1
    if units[lower].level is Level.SECTION:
        lower += 1
    body = units[lower].start
    begin = max(body, boundary - sizes.overlap // _LIGHT)
    spans = sentences(text[begin:boundary])
    if begin > body or lower == first:
        del spans[:1]  # cut in two by the line above, or the piece before would be repeated whole
    start = boundary
    for offset, _ in reversed(spans):
        if token_weight(text[begin + offset : boundary]) > sizes.overlap:
            break
        start = begin + offset
    return start


# --- units --------------------------------------------------------------------------------------

_LIGHT = 20  # weight of a character of light text: bounds how far back sentences are looked for
_LINE = re.compile(r"\S[^\n]*+")
_FURTHER = 32  # code points beyond a piece's end in which a good cut is looked for
_NOT_SPACE = re.compile(r"\S")

_NEVER_FIRST = CLOSING_PUNCTUATION | frozenset(",.;:!?)]}")
_GAPS = {white: token_weight(white) for white in (" ", "\n", "\n\n")}

Splitter = tuple["Callable[[str], list[tuple[int, int]]]", Level]


def _lines(text: str) -> list[tuple[int, int]]:
    return [m.span() for m in _LINE.finditer(text)]


_LADDERS: dict[str, tuple[Splitter, ...]] = {
    "text": ((sentences, Level.SENTENCE), (_lines, Level.LINE)),
    "code": ((_lines, Level.LINE),),
    "rows": ((_lines, Level.LINE),),
}


def _units(text: str, blocks: Sequence[Block], end: int, sizes: Limits) -> list[Unit]:
    found, most = _Units(text, sizes), sizes.unit
    for block, following in pairwise([*blocks, Block(end, Level.BLOCK)]):
        ladder = _LADDERS[block.content]
        found.add(block.start, following.start, block.level, ladder, most)
    return found.units


class _Units:
    """Collects units; what is too heavy goes down the ladder: sentences, lines, words."""

    def __init__(self, text: str, sizes: Limits) -> None:
        self.units: list[Unit] = []
        self._text = text
        self._sizes = sizes

    def add(
        self, start: int, end: int, level: Level, ladder: tuple[Splitter, ...], most: int
    ) -> None:
        """Add the text ``start:end``, which begins at a boundary of ``level``."""
        part = self._text[start:end].rstrip()
        weight = token_weight(part)
        if weight <= most:
            self._append(start, start + len(part), weight, level)
        elif not ladder:
            self._add_pieces(start, start + len(part), level)
        else:
            (split, lower), *rest = ladder
            for s, e in split(part):
                self.add(start + s, start + e, level, tuple(rest), self._sizes.sentence)
                level = lower

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
        if not self.units:
            self.units.append(Unit(start, end, 0, weight, level))
            return
        last = self.units[-1]
        white = self._text[last.end : start]
        gap = _GAPS.get(white) or token_weight(white)
        joined = last.weight + gap + weight
        if self._text[start] in CLOSING_PUNCTUATION and joined <= self._sizes.high:
            self.units[-1] = last._replace(end=end, weight=joined)
        else:
            self.units.append(Unit(start, end, gap, weight, level))


def _may_begin(text: str, index: int) -> bool:
    """Say whether a piece may begin at what is not white space from ``index`` on."""
    first = text[index : index + 1]
    if first.isspace():
        found = _NOT_SPACE.search(text, index, index + _FURTHER)
        first = found[0] if found else ""
    return first not in _NEVER_FIRST
