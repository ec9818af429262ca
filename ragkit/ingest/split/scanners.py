"""Scanners: where blocks and headings begin, one function for each way of writing a document.

They search for the lines that mean something instead of looking at every line, which is what
makes them fast. They look in a line feed followed by the text: there, a line that begins at
offset i of the text has its line feed at i.
"""

from __future__ import annotations

import re
from enum import IntEnum
from typing import TYPE_CHECKING, Literal, NamedTuple

from ragkit.text.markdown import heading_text
from ragkit.text.patterns import late_pattern

if TYPE_CHECKING:
    from collections.abc import Callable

    from ragkit.ingest.load.formats import Structure

Content = Literal["text", "rows", "code"]

_NOT_SPACE = late_pattern(r"\S")
_LONGEST_TITLE = 200  # code points; a longer "heading" is a paragraph by mistake


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
    """A block from ``start`` to the start of the next one; ``depth`` > 0 makes it a heading.

    The ``title`` of a table is the names of its columns, where a rule below them says so.
    """

    start: int
    level: Level
    content: Content = "text"
    depth: int = 0
    title: str = ""


class BlockList(list[Block]):
    """The blocks found so far. Positions are moved on to what is not white space."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.mark(0, Level.BLOCK)

    def mark(self, position: int, level: Level, content: Content = "text") -> None:
        """Begin a block; a second mark at the same place takes the place of the first."""
        self._put(position, level, content)

    def table(self, position: int, names: str) -> None:
        """Begin a table whose columns have names, or "" if it does not say which."""
        self._put(position, Level.BLOCK, "rows", title=names[:_LONGEST_TITLE].strip())

    def heading(self, position: int, end: int, depth: int, title: str) -> None:
        """Begin a section whose heading stands at ``position:end``."""
        shown = title[:_LONGEST_TITLE].strip()
        self._put(position, Level.SECTION, "text", depth=depth, title=shown)
        self._put(end, Level.GLUE, "text")

    def underlined(self, line_start: int) -> tuple[int, str] | None:
        """Give start and text of the paragraph before a line if it is one plain line."""
        last = self[-1] if self else None
        if not last or last.content != "text" or last.level not in (Level.BLOCK, Level.GLUE):
            return None
        if last.start >= line_start or self._text.find("\n", last.start, line_start) >= 0:
            return None
        return last.start, self._text[last.start : line_start].rstrip()

    def _put(
        self, position: int, level: Level, content: Content, *, depth: int = 0, title: str = ""
    ) -> None:
        if self._text[position : position + 1].strip():
            start = position
        elif found := _NOT_SPACE.search(self._text, position):
            start = found.start()
        else:
            return
        if self and self[-1].start >= start:
            # A blank line below a heading must not loosen what follows from the heading.
            if self[-1].level is Level.GLUE and not depth:
                level = Level.GLUE
            self.pop()
        self.append(Block(start, level, content, depth, title))


_LINE_FEED = r"\n(?P<blank>(?:[^\S\n]*+\n)++)?+"
_ITEM = r"(?P<item>[ \t]*+(?:[-*+•·]|\d{1,9}[.)])[ \t]+(?=\S))"
_ARTICLE = r"(?P<article>第[一二三四五六七八九十百千零〇0-9]{1,7}[章节節条條编編篇])"
_NO_MARK = r"(?(blank)|(?!))"  # a line that begins with none counts behind blank lines only
_PLAIN = late_pattern(rf"{_LINE_FEED}(?:{_ITEM}|{_ARTICLE}|(?P<row>\|)|{_NO_MARK})")
_MARKDOWN = late_pattern(
    rf"{_LINE_FEED}(?:{_ITEM}|{_ARTICLE}|[ ]{{0,3}}(?:(?P<fence>`{{3,}}|~{{3,}})"
    r"|(?P<atx>\#{1,6})[ \t]+(?=\S)|(?P<row>\|)|(?P<setext>={2,}|-{2,})[ \t]*+(?=\n|\Z)"
    r"|(?P<rule>:?-+:?[ \t]*+\|[-:| \t]*+)(?=\n|\Z))"
    rf"|{_NO_MARK})"
)
_RST = late_pattern(
    rf"{_LINE_FEED}(?:{_ITEM}|(?P<row>[+|])"
    r"|(?P<adornment>(?P<mark>[!-/:-@\[-`{-~])(?P=mark){2,})[ \t]*+(?=\n|\Z)"
    rf"|{_NO_MARK})"
)
_BLANK_LINES = late_pattern(r"\n[^\S\n]*+\n\s*+")
_RULE = late_pattern(
    r"\n[ \t]*+\|?[ \t]*+:?-+:?[ \t]*+(?:\|[ \t]*+:?-+:?[ \t]*+)*+\|?[ \t]*+(?=\n|\Z)"
)
_CELL_END = late_pattern(r"(?<!\\)\|")
_FRONT_MATTER = late_pattern(
    r"(?:---\n.*?\n(?:---|\.\.\.)|\+\+\+\n.*?\n\+\+\+)[ \t]*(?=\n|\Z)", re.DOTALL
)


def _line_start(match: re.Match[str]) -> int:
    """Give the offset in the text of the line that a match marks."""
    return max(match.start(), match.end("blank") - 1)


def _common(blocks: BlockList, match: re.Match[str]) -> None:
    """Mark what all scanners have in common: blank lines, list items, articles of a law."""
    start, found = _line_start(match), match.lastgroup
    if found == "blank":
        blocks.mark(start, Level.BLOCK)
    elif found == "item":
        nested = match["item"][0].isspace()
        blocks.mark(start, Level.LINE if nested else Level.ITEM)
    elif found == "article":
        blocks.mark(start, Level.ITEM)
    elif match["blank"]:  # a mark that means nothing here, behind a blank line
        blocks.mark(start, Level.BLOCK)


def plain(text: str) -> list[Block]:
    """Find the blocks of plain text: paragraphs, list items, articles, tables; no headings."""
    blocks, padded = BlockList(text), "\n" + text
    position, after_row = 0, -1
    while match := _PLAIN.search(padded, position):
        position = match.end()
        if match.lastgroup == "row":
            after_row = position = _row(blocks, padded, match, after_row)
        else:
            _common(blocks, match)
    return blocks


def markdown(text: str) -> list[Block]:
    """Find headings, paragraphs, list items, tables and fenced code of Markdown."""
    blocks, padded = BlockList(text), "\n" + text
    fences = _Fences(padded)
    front = _FRONT_MATTER.match(text)
    position, after_row = (front.end() if front else 0), -1
    while match := _MARKDOWN.search(padded, position):
        position, found = match.end(), match.lastgroup
        if found == "fence" and (closed := fences.close(match)):
            blocks.mark(_line_start(match), Level.BLOCK, "code")
            blocks.mark(closed, Level.BLOCK)
            position = closed
        elif found == "atx":
            position = _line_end(padded, position)
            title = padded[match.end() : position]
            blocks.heading(_line_start(match), position, len(match["atx"]), heading_text(title))
        elif found == "row":
            after_row = position = _row(blocks, padded, match, after_row)
        elif found == "rule" and not match["blank"] and _line_start(match):
            position = _bare_table(blocks, padded, match)
        elif found == "setext" and not match["blank"]:
            _promote(blocks, match, 1 if match["setext"][0] == "=" else 2)
        else:
            _common(blocks, match)
    return blocks


def _row(blocks: BlockList, padded: str, match: re.Match[str], after_row: int) -> int:
    """Take a line that begins with ``|``: the first of a table, or one more. Return its end."""
    end = _line_end(padded, match.end())
    if _line_start(match) != after_row:
        names = padded[match.end() : end] if _RULE.match(padded, end) else ""
        blocks.table(_line_start(match), column_names(names))
    return end


def _bare_table(blocks: BlockList, padded: str, match: re.Match[str]) -> int:
    """Take the rule of a table whose lines do not begin with ``|``; return the table's end."""
    rule = _line_start(match)
    start = padded.rfind("\n", 0, rule) + 1
    if "|" not in padded[start:rule]:
        return match.end()
    blocks.table(start - 1, column_names(padded[start:rule]))
    found = _BLANK_LINES.search(padded, match.end())
    return found.start() if found else len(padded)


def column_names(row: str) -> str:
    """Write the cells of a table's first row as a heading does.

    >>> column_names("Craft |  Fee |")
    'Craft | Fee'
    """
    cells = (
        " ".join(cell.replace("\\|", "|").split()) for cell in _CELL_END.split(row.strip(" \t|"))
    )
    return " | ".join(cells)


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


def _promote(blocks: BlockList, match: re.Match[str], depth: int) -> None:
    """Turn the one-line paragraph above an underline into a heading."""
    above = blocks.underlined(_line_start(match) - 1)
    if above:
        blocks.pop()
        blocks.heading(above[0], match.end() - 1, depth, above[1].strip())


def rst(text: str) -> list[Block]:
    """Find headings, paragraphs, list items and tables of reStructuredText."""
    blocks, padded = BlockList(text), "\n" + text
    styles: list[tuple[str, bool]] = []
    position, after_row = 0, -1
    while match := _RST.search(padded, position):
        position, found = match.end(), match.lastgroup
        if found == "row":
            if _line_start(match) != after_row:
                blocks.mark(_line_start(match), Level.BLOCK, "rows")
            after_row = position = _line_end(padded, position)
        elif found == "adornment":
            position = _rst_heading(blocks, padded, match, styles)
        else:
            _common(blocks, match)
    return blocks


def _rst_heading(
    blocks: BlockList, padded: str, match: re.Match[str], styles: list[tuple[str, bool]]
) -> int:
    """Read a line of repeated marks as over- or underline; return where to go on."""
    line, end = match["adornment"], match.end()
    title_end = _line_end(padded, end + 1)
    under_end = _line_end(padded, title_end + 1)
    title = padded[end + 1 : title_end].strip()
    if title and padded[title_end + 1 : under_end].rstrip() == line and len(title) <= len(line):
        blocks.heading(_line_start(match), under_end, _depth(styles, (line[0], True)), title)
        return under_end
    above = blocks.underlined(_line_start(match) - 1)
    if above and len(line) >= min(4, len(above[1])):
        _promote(blocks, match, _depth(styles, (line[0], False)))
    else:
        _common(blocks, match)
    return end


def _depth(styles: list[tuple[str, bool]], style: tuple[str, bool]) -> int:
    """Number a style of heading: in reStructuredText the order of first use makes the levels."""
    if style not in styles:
        styles.append(style)
    return styles.index(style) + 1


def code(text: str) -> list[Block]:
    """Find the parts of source code between blank lines; best are those that end at the margin."""
    blocks = BlockList(text)
    for match in _BLANK_LINES.finditer(text):
        top_level = text[match.end() - 1] == "\n"
        blocks.mark(match.end(), Level.BLOCK if top_level else Level.ITEM)
    return [b._replace(content="code") for b in blocks]


def rows(text: str) -> list[Block]:
    """Find the groups of data rows between blank lines."""
    blocks = BlockList(text)
    for match in _BLANK_LINES.finditer(text):
        blocks.mark(match.end(), Level.BLOCK)
    return [b._replace(content="rows") for b in blocks]


def sheets(text: str) -> list[Block]:
    """Find the data rows of each sheet below its name, a heading of Markdown."""
    blocks = BlockList(text)
    for match in _SHEET.finditer(text):
        blocks.heading(match.start(), match.end(), 1, match[1])
    return [b if b.depth else b._replace(content="rows") for b in blocks]


_SHEET = re.compile(r"(?:\A|(?<=\n\n))# ([^\n]*)(?=\n\n)")


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end


SCANNERS: dict[Structure, Callable[[str], list[Block]]] = {
    "plain": plain,
    "markdown": markdown,
    "rst": rst,
    "code": code,
    "rows": rows,
    "sheets": sheets,
}
