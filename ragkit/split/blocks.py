"""The structure of a text: sections under headings, and the blocks within them.

A block is a paragraph, a list item, a table or a piece of code. Each kind of document has a
scanner that marks where blocks and headings begin. The scanners search for the lines that
mean something instead of looking at every line, which is what makes them fast.
"""

from __future__ import annotations

import re
from enum import IntEnum
from itertools import pairwise
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

Content = Literal["text", "rows", "code"]


class Level(IntEnum):
    """How good a place for a cut is; the higher, the better."""

    GLUE = 0  # between a heading and what follows it
    WORD = 1
    LINE = 2
    SENTENCE = 3
    ITEM = 4
    BLOCK = 5
    SECTION = 6


class Block(NamedTuple):
    """A block from ``start`` to the start of the next one; ``depth`` > 0 makes it a heading."""

    start: int
    level: Level
    content: Content = "text"
    depth: int = 0
    title: str = ""


class Section(NamedTuple):
    """A heading and all blocks up to the next heading. ``path`` ends with its own heading."""

    start: int
    end: int
    path: tuple[str, ...]
    blocks: list[Block]


def find_sections(text: str, kind: str) -> list[Section]:
    """Divide a text into sections, in order; together they cover all that is not white space.

    Args:
        text: A document's text.
        kind: The document's kind; unknown kinds are read as plain text.
    """
    blocks = _SCANNERS.get(kind, _plain)(text)
    starts = [i for i, b in enumerate(blocks) if b.depth]
    if blocks and not blocks[0].depth:
        starts.insert(0, 0)
    sections: list[Section] = []
    path: list[tuple[int, str]] = []
    for first, following in pairwise([*starts, len(blocks)]):
        head = blocks[first]
        if head.depth:
            path = [p for p in path if p[0] < head.depth] + [(head.depth, head.title)]
        end = blocks[following].start if following < len(blocks) else len(text)
        titles = tuple(title for _, title in path)
        sections.append(Section(head.start, end, titles, blocks[first:following]))
    return sections


class _Blocks(list[Block]):
    """The blocks found so far. Positions are moved on to what is not white space."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.mark(0, Level.BLOCK)

    def mark(self, position: int, level: Level, content: Content = "text") -> None:
        """Begin a block; a second mark at the same place takes the place of the first."""
        self._put(Block(position, level, content))

    def heading(self, position: int, end: int, depth: int, title: str) -> None:
        """Begin a section whose heading stands at ``position:end``."""
        self._put(Block(position, Level.SECTION, "text", depth, title[:_LONGEST_TITLE].strip()))
        self.mark(end, Level.GLUE)

    def underlined(self, line_start: int) -> tuple[int, str] | None:
        """Give start and text of the paragraph before a line if it is one plain line."""
        last = self[-1] if self else None
        if not last or last.content != "text" or last.level not in (Level.BLOCK, Level.GLUE):
            return None
        if last.start >= line_start or self._text.find("\n", last.start, line_start) >= 0:
            return None
        return last.start, self._text[last.start : line_start].rstrip()

    def _put(self, block: Block) -> None:
        found = _NOT_SPACE.search(self._text, block.start)
        if not found:
            return
        if self and self[-1].start >= found.start():
            # A blank line after a heading must not loosen what follows from the heading.
            if self[-1].level is Level.GLUE and not block.depth:
                block = block._replace(level=Level.GLUE)
            self.pop()
        self.append(block._replace(start=found.start()))


_NOT_SPACE = re.compile(r"\S")
_BLANK = r"(?P<blank>[^\S\n]*+(?=\n|\Z))"
_ITEM = r"(?P<item>[ \t]*+(?:[-*+•·]|\d{1,9}[.)])[ \t]+(?=\S))"
_ARTICLE = r"(?P<article>第[一二三四五六七八九十百千零〇0-9]{1,7}[章节節条條编編篇])"
_PLAIN = re.compile(rf"\n(?:{_BLANK}|{_ITEM}|{_ARTICLE})")
_MARKDOWN = re.compile(
    rf"\n(?:{_BLANK}|{_ITEM}|{_ARTICLE}|[ ]{{0,3}}(?:(?P<fence>`{{3,}}|~{{3,}})"
    r"|(?P<atx>\#{1,6})[ \t]+(?=\S)|(?P<row>\|)|(?P<setext>={2,}|-{2,})[ \t]*+(?=\n|\Z)))"
)
_RST = re.compile(
    rf"\n(?:{_BLANK}|{_ITEM}|(?P<row>[+|])"
    r"|(?P<adornment>(?P<mark>[!-/:-@\[-`{-~])(?P=mark){2,})[ \t]*+(?=\n|\Z))"
)
_BLANK_LINES = re.compile(r"\n[^\S\n]*+\n\s*+")
_FRONT_MATTER = re.compile(r"---\n.*?\n(?:---|\.\.\.)[ \t]*(?=\n|\Z)", re.DOTALL)
_LONGEST_TITLE = 200  # code points; a longer "heading" is a paragraph by mistake

# Scanners search in "\n" + text: a line that begins at i has its line feed at i there.


def _common(blocks: _Blocks, match: re.Match[str]) -> None:
    """Mark what all scanners have in common: blank lines, list items, articles of a law."""
    if match.lastgroup == "blank":
        blocks.mark(match.end() - 1, Level.BLOCK)
    elif match.lastgroup == "item":
        nested = match["item"][0].isspace()
        blocks.mark(match.start(), Level.LINE if nested else Level.ITEM)
    else:
        blocks.mark(match.start(), Level.ITEM)


def _plain(text: str) -> list[Block]:
    blocks = _Blocks(text)
    for match in _PLAIN.finditer("\n" + text):
        _common(blocks, match)
    return blocks


def _markdown(text: str) -> list[Block]:
    blocks, padded = _Blocks(text), "\n" + text
    fences = _Fences(padded)
    front = _FRONT_MATTER.match(text)
    position, after_row = (front.end() if front else 0), -1
    while match := _MARKDOWN.search(padded, position):
        position, found = match.end(), match.lastgroup
        if found == "fence":
            if closed := fences.close(match):
                blocks.mark(match.start(), Level.BLOCK, "code")
                blocks.mark(closed, Level.BLOCK)
                position = closed
        elif found == "atx":
            position = _line_end(padded, position)
            title = padded[match.end() : position]
            blocks.heading(match.start(), position, len(match["atx"]), _plain_title(title))
        elif found == "row":
            if match.start() != after_row:
                blocks.mark(match.start(), Level.BLOCK, "rows")
            after_row = position = _line_end(padded, position)
        elif found == "setext":
            _promote(blocks, match, 1 if match["setext"][0] == "=" else 2)
        else:
            _common(blocks, match)
    return blocks


def _rst(text: str) -> list[Block]:
    blocks, padded = _Blocks(text), "\n" + text
    styles: list[tuple[str, bool]] = []
    position, after_row = 0, -1
    while match := _RST.search(padded, position):
        position, found = match.end(), match.lastgroup
        if found == "row":
            if match.start() != after_row:
                blocks.mark(match.start(), Level.BLOCK, "rows")
            after_row = position = _line_end(padded, position)
        elif found == "adornment":
            position = _rst_heading(blocks, padded, match, styles)
        else:
            _common(blocks, match)
    return blocks


def _rst_heading(
    blocks: _Blocks, padded: str, match: re.Match[str], styles: list[tuple[str, bool]]
) -> int:
    """Read a line of repeated marks as over- or underline; return where to go on."""
    line, end = match["adornment"], match.end()
    title_end = _line_end(padded, end + 1)
    under_end = _line_end(padded, title_end + 1)
    title = padded[end + 1 : title_end].strip()
    if title and padded[title_end + 1 : under_end].rstrip() == line and len(title) <= len(line):
        blocks.heading(match.start(), under_end, _depth(styles, (line[0], True)), title)
        return under_end
    above = blocks.underlined(match.start() - 1)
    if above and len(line) >= min(4, len(above[1])):
        _promote(blocks, match, _depth(styles, (line[0], False)))
    return end


def _depth(styles: list[tuple[str, bool]], style: tuple[str, bool]) -> int:
    """Number a style of heading: in reStructuredText the order of first use makes the levels."""
    if style not in styles:
        styles.append(style)
    return styles.index(style) + 1


def _promote(blocks: _Blocks, match: re.Match[str], depth: int) -> None:
    """Turn the one-line paragraph above an underline into a heading."""
    above = blocks.underlined(match.start() - 1)
    if above:
        blocks.pop()
        blocks.heading(above[0], match.end() - 1, depth, above[1].strip())


def _plain_title(line: str) -> str:
    """Take off what closes a heading: an attribute list such as ``{#top}``, and hashes."""
    title = line.strip()
    if title.endswith("}"):
        title = title.rpartition("{")[0].rstrip() or title
    return title.rstrip("#").rstrip() or title


def _code(text: str) -> list[Block]:
    blocks = _Blocks(text)
    for match in _BLANK_LINES.finditer(text):
        top_level = text[match.end() - 1] == "\n"
        blocks.mark(match.end(), Level.BLOCK if top_level else Level.ITEM)
    return [b._replace(content="code") for b in blocks]


def _rows(text: str) -> list[Block]:
    blocks = _Blocks(text)
    for match in _BLANK_LINES.finditer(text):
        blocks.mark(match.end(), Level.BLOCK)
    return [b._replace(content="rows") for b in blocks]


class _Fences:
    """Finds the ends of fenced code. A fence that is never closed is an ordinary line."""

    def __init__(self, padded: str) -> None:
        self._padded = padded
        self._unclosed: dict[str, int] = {}

    def close(self, opening: re.Match[str]) -> int | None:
        """Return the end of the closing line, or None. A failed search is not repeated."""
        fence = opening["fence"]
        mark, length = fence[0], len(fence)
        if length >= self._unclosed.get(mark, length + 1):
            return None
        pattern = rf"\n[ ]{{0,3}}{mark}{{{length},}}[ \t]*+(?=\n|\Z)"
        closing = re.compile(pattern).search(self._padded, opening.end())
        if closing is None:
            self._unclosed[mark] = length
            return None
        return closing.end()


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


_SCANNERS: dict[str, Callable[[str], list[Block]]] = {
    "markdown": _markdown,
    "html": _markdown,  # the readers of HTML and DOCX write headings and lists as Markdown
    "docx": _markdown,
    "rst": _rst,
    "code": _code,
    "csv": _rows,
    "json": _rows,
    "jsonl": _rows,
}
