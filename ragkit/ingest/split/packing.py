"""Filling chunks: units are packed into pieces.

A piece may end anywhere within a window of sizes. Among the places within it the best kind of
boundary wins (`Level`) and, among equals, the one whose following words hash lowest. So the
choice depends on the text nearby and not on all that went before: after an insertion the old
boundaries are soon found again, and the chunks behind it stay as they were.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple
from zlib import crc32

from ragkit.ingest.split.scanners import Level
from ragkit.ingest.split.units import Limits, Units
from ragkit.text.sentences import sentences
from ragkit.text.tokens import token_weight

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ragkit.ingest.split.scanners import Block

_LIGHT = 20  # weight of a character of light text: bounds how far back sentences are looked for


class Piece(NamedTuple):
    """A chunk's place and weight: ``start:end``; ``core:end`` is not in the piece before."""

    start: int
    core: int
    end: int
    weight: int


def pack(text: str, blocks: Sequence[Block], end: int, sizes: Limits) -> Iterator[Piece]:
    """Pack the text from the first block to ``end`` into pieces, in order."""
    units = Units(text, blocks, end, sizes)
    first = previous = 0
    while first < len(units):
        core = start = units.starts[first]
        before = 0
        if sizes.overlap and first and units.levels[first] < Level.SECTION:
            start, before = _overlap(text, units, (previous, first), sizes)
        if before + units.totals[first + 1] - units.totals[first] > sizes.high:
            start, before = core, 0
        after = _end_unit(text, units, first, sizes, before=before)
        weight = before + units.totals[after] - units.totals[first] - units.gaps[first]
        yield Piece(start, core, units.ends[after - 1], weight)
        first, previous = after, first


def _end_unit(text: str, units: Units, first: int, sizes: Limits, *, before: int) -> int:
    """Choose the unit before which the piece that begins with ``first`` ends.

    ``before`` is the weight of what the piece repeats from the one before it.
    """
    totals = units.totals
    base = totals[first] + units.gaps[first] - before
    rest = totals[-1] - base
    if rest <= sizes.high:
        return len(units)
    places = range(first + 1, max(bisect_right(totals, base + sizes.high), first + 2))
    # The last piece is not to be a scrap.
    top = min(sizes.high, max(sizes.low, rest - sizes.low // 2))
    inside = [i for i in places if sizes.low <= totals[i] - base <= top]
    if not inside:
        most = rest - sizes.low // 4
        enough = [i for i in places if sizes.low // 2 <= totals[i] - base <= most]
        return enough[-1] if enough else places[-1]
    best = max(units.levels[i] for i in inside)
    equals = [i for i in inside if units.levels[i] == best]
    return min(equals, key=lambda i: _hash(text, units, i)) if len(equals) > 1 else equals[0]


def _hash(text: str, units: Units, index: int) -> int:
    start = units.starts[index]
    return crc32(text[start : min(units.ends[index], start + 64)].encode("utf-8", "replace"))


def _overlap(text: str, units: Units, span: tuple[int, int], sizes: Limits) -> tuple[int, int]:
    """Find where the repeated sentences before a unit begin, and weigh what is repeated.

    Where there are none it is the unit's own start, and 0.

    Args:
        text: The text.
        units: All units.
        span: The first unit of the piece before, and the unit in question.
        sizes: The overlap's limit is taken from here.
    """
    first, last = span
    boundary, levels = units.starts[last], units.levels
    lower = last
    while lower > first and levels[lower] not in (Level.SECTION, Level.GLUE):
        lower -= 1
    if levels[lower] is Level.SECTION:
        lower += 1
    body = units.starts[lower]
    begin = max(body, boundary - sizes.overlap // _LIGHT)
    spans = sentences(text[begin:boundary])
    if begin > body or lower == first:
        del spans[:1]  # cut in two by the line above, or the piece before would be repeated whole
    start, weight = boundary, 0
    for offset, _ in reversed(spans):
        longer = weight + token_weight(text[begin + offset : start])
        if longer > sizes.overlap:
            break
        start, weight = begin + offset, longer
    return start, weight
