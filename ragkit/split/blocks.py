"""Blocks: the paragraphs, list items, tables and pieces of code that a text consists of."""

from __future__ import annotations

import re
from enum import IntEnum
from typing import Literal, NamedTuple

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


_NOT_SPACE = re.compile(r"\S")
_LONGEST_TITLE = 200  # code points; a longer "heading" is a paragraph by mistake


class BlockList(list[Block]):
    """The blocks found so far. Positions are moved on to what is not white space."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self._text = text
        self.mark(0, Level.BLOCK)

    def mark(self, position: int, level: Level, content: Content = "text") -> None:
        """Begin a block; a second mark at the same place takes the place of the first."""
        self._put(position, level, content)

    def heading(self, position: int, end: int, depth: int, title: str) -> None:
        """Begin a section whose heading stands at ``position:end``."""
        self._put(position, Level.SECTION, "text", depth, title[:_LONGEST_TITLE].strip())
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
        self, position: int, level: Level, content: Content, depth: int = 0, title: str = ""
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
