"""The statements of a page: its sentences, cut at the line breaks that were made on purpose."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

from ragkit.text.patterns import late_pattern
from ragkit.text.sentences import sentences

if TYPE_CHECKING:
    from collections.abc import Iterator

FILLED = 0.75
"""Share of the width up to which a line with its neighbour's first word was not full: letters
differ in width, so full lines do too; an ideograph counts as two."""

_BREAK = late_pattern(r"[^\S\n]*\n\s*")
_WORD = late_pattern(r"(?:(?![\u2e80-\U0010ffff])\S)+|\S")
"""What must stand on one line: a word, or one ideograph."""

_ROW = late_pattern(r"[^\n]* \| |[^:;\n]+: [^;\n]*; [^:;\n]+: ")
"""How a table's row begins as the readers write it: cells, or names with values."""

_GO_ON = frozenset(",:;，：；、")
_FIELD = late_pattern(r"[A-Z][\w/&().' -]{0,40}:\s|[\u4e00-\u9fff]{1,8}：")


def statements(text: str, *, is_cut: bool = False) -> list[tuple[int, int]]:
    r"""List the half-open spans of sentences, each cut where a line was broken on purpose.

    Such a line had room for the first word of the next one, or the next one begins with the name of
    a field (``State: Ohio``), or both are rows of a table. The width is that of the longest line of
    the sentence. If the line before ends in a comma or colon, or the next one begins in lower case,
    only a field or a row begins there.

    Args:
        text: Of a passage.
        is_cut: It may begin within a line; how full that line was cannot be told.

    >>> text = "Page 1 of 4\nState: Ohio\nThe airplane climbed out of Elyria and\nhit a tree."
    >>> [text[start:end] for start, end in statements(text)]
    ['Page 1 of 4', 'State: Ohio', 'The airplane climbed out of Elyria and\nhit a tree.']
    """
    unknown = text.find("\n") if is_cut else -1
    return [span for start, end in sentences(text) for span in _parted(text, start, end, unknown)]


def _parted(text: str, start: int, end: int, unknown: int) -> Iterator[tuple[int, int]]:
    """Cut a sentence; a line that ends at ``unknown`` counts as full."""
    breaks = list(_BREAK.finditer(text, start, end))
    begins = [text.rfind("\n", 0, start) + 1, *(b.end() for b in breaks)]
    last = text.find("\n", end)
    ends = [*(b.start() for b in breaks), len(text) if last < 0 else last]
    widths = [_width(text[b:e]) for b, e in zip(begins, ends, strict=True)]
    room = FILLED * max(widths)
    for begin, gap, width in zip(begins, breaks, widths, strict=False):
        word = _WORD.match(text, gap.end(), end)
        is_short = width + 1 + (_width(word[0]) if word else 0) <= room
        is_unknown = gap.start() <= unknown < gap.end()
        are_rows = _ROW.match(text, begin) and _ROW.match(text, gap.end())
        goes_on = text[gap.start() - 1] in _GO_ON or text[gap.end()].islower()
        is_cut = (is_short and not is_unknown and not goes_on) or are_rows
        if is_cut or _FIELD.match(text, gap.end(), end):
            yield start, gap.start()
            start = gap.end()
    yield start, end


def _width(line: str) -> int:
    return len(line) + sum(unicodedata.east_asian_width(c) in "WF" for c in line)
