"""Turns a stream of inline text and block marks into tidy lines, marked as Markdown marks them."""

from __future__ import annotations

from ragkit.ingest.load.readers.table_grid import TableGrid
from ragkit.text.patterns import late_pattern
from ragkit.text.raising import lower_text, raise_text
from ragkit.text.scripts import script_class

# The white space that HTML and Word collapse; a no-break space is kept.
_SPACES = late_pattern(r"[ \t\n\f\r]+")
_MANY_SPACES = late_pattern(" {2,}")
_CJK = script_class("han") + script_class("kana") + "\u3000-\u303f\uff01-\uff5e"
_CJK_BREAK = late_pattern(rf"(?<=[{_CJK}])[ \t]*\n[ \t]*(?=[{_CJK}])")
"""A line end between ideographs, which parts nothing."""

_LITERAL = late_pattern(r"(#{1,6})[ \t]|(?=`{3}|~{3}|\||\+{3}\Z|(?:={2,}|-{2,})\Z)")
_BEFORE = 24  # characters before a raised text that tell how it is written
_NO_BREAK = "\u00a0"


class MarkdownWriter:
    """Collects lines: inline white space collapses, blocks are parted by one blank line.

    Within a table cell every break is a space, so that a row stays one line. A paragraph that
    begins with what would be a mark (``# of seats``) gets a no-break space there: it looks the
    same, and is no heading.

    Attributes:
        list_depth: How many lists are open; items are indented by two spaces a level.
    """

    def __init__(self) -> None:
        self.list_depth = 0
        self._verbatim = 0
        self._lines: list[str] = []
        self._inline: list[str] = []
        self._mark = ""
        self._tables: list[TableGrid] = []
        self._cell: list[str] | None = None
        self._cell_depth = 0
        self._shift = 0
        self._shifted: list[str] = []

    @property
    def marked(self) -> bool:
        """True while a mark waits for the first text of its line."""
        return bool(self._mark) and not "".join(self._inline).strip()

    @property
    def in_cell(self) -> bool:
        """True within a table cell."""
        return self._cell is not None

    @property
    def in_table(self) -> bool:
        """True while a table is open."""
        return bool(self._tables)

    def add(self, text: str, shift: int = 0) -> None:
        """Append inline text; ``shift`` is 1 if it stands raised, -1 if lowered."""
        if not text:
            return
        if shift != self._shift:
            self._unshift()
            self._shift = shift
        text = text if self._verbatim else _collapsed(text)
        (self._shifted if shift else self._target).append(text)

    def mark(self, mark: str) -> None:
        """Put a mark such as ``# `` before the next line's text, if there will be any."""
        if self._cell is None:
            self._mark = mark

    def item(self, mark: str) -> None:
        """Put a list item's mark, ``-`` or ``7.``, before the next line's text."""
        self.mark("  " * max(self.list_depth - 1, 0) + mark + " ")

    def end_line(self) -> None:
        """End the line at hand, if it holds anything."""
        self._unshift()
        if self._cell is not None:
            self._cell.append(" ")
            return
        if self._verbatim:
            self._inline.append("\n")
            return
        body = _tidy(self._take())
        if body:
            self._lines.append((self._mark + body) if self._mark else literal_line(body))
            self._mark = ""

    def end_block(self) -> None:
        """End the line at hand and leave one blank line."""
        self.end_line()
        if self._cell is None:
            self._mark = ""
            if self._lines and self._lines[-1]:
                self._lines.append("")

    def open_verbatim(self) -> None:
        """Begin text whose line breaks and spaces are kept, behind a fence."""
        self.end_block()
        self._verbatim += 1

    def close_verbatim(self) -> None:
        """End it with a fence, so that nothing within is taken for a heading or a list."""
        self._unshift()
        self._verbatim -= 1
        if self._verbatim == 0 and self._cell is None:
            body = self._take().strip("\n")
            if body.strip():
                fence = "```" if "```" not in body else "~~~"
                self._lines.extend((fence, body, fence))

    def open_table(self) -> None:
        """Begin a table; one within a cell is part of that cell's text."""
        if self._cell is None:
            self.end_block()
            self._tables.append(TableGrid())

    def close_table(self) -> None:
        """End a table: its lines are written."""
        if self._cell is None and self._tables:
            self._lines += self._tables.pop().lines()
            self.end_block()

    def open_cell(self) -> None:
        """Begin a table cell; a cell within a cell is part of it."""
        if self._cell is None:
            self.end_line()
            self._cell = []
            if not self._tables:
                self._tables.append(TableGrid())
        self._cell_depth += 1

    def close_cell(
        self, *, columns: int = 1, rows: int = 1, is_name: bool = False, goes_on: bool = False
    ) -> None:
        """End a table cell.

        Args:
            columns: How many it spans.
            rows: How many it spans, where that is known.
            is_name: It is marked as the name of its column.
            goes_on: It is the lower part of the cell above it.
        """
        self._unshift()
        self._cell_depth -= 1
        if self._cell_depth or self._cell is None:
            return
        text, self._cell = _tidy(" ".join("".join(self._cell).split())), None
        if goes_on and not text:
            self._tables[-1].go_on(columns=columns)
        else:
            self._tables[-1].add(text, columns=columns, rows=rows, is_name=is_name)

    def drop_cell(self) -> None:
        """End a cell that another one covers, which stands in its place already."""
        self._unshift()
        self._cell_depth -= 1
        if not self._cell_depth:
            self._cell = None

    def end_row(self, *, is_marked: bool = False) -> None:
        """End a table row; ``is_marked``: it names the columns."""
        if self._cell is None and self._tables:
            self._tables[-1].end_row(is_marked=is_marked)

    def text(self) -> str:
        """Return everything written so far."""
        self.end_line()
        while self._tables:
            self.close_table()
        return "\n".join(self._lines).strip("\n")

    @property
    def _target(self) -> list[str]:
        return self._inline if self._cell is None else self._cell

    def _unshift(self) -> None:
        """Write what stood raised or lowered behind what stands before it."""
        if not self._shift:
            return
        text, self._shifted = "".join(self._shifted), []
        before = "".join(self._target[-_BEFORE:])[-_BEFORE:]
        self._target.append((raise_text if self._shift > 0 else lower_text)(before, text))
        self._shift = 0

    def _take(self) -> str:
        raw, self._inline = "".join(self._inline), []
        return raw


def _collapsed(text: str) -> str:
    if not text.isascii() and "\n" in text:
        text = _CJK_BREAK.sub("", text)
    return _SPACES.sub(" ", text)


def literal_line(body: str) -> str:
    """Part a line's beginning from the mark of Markdown that it would be.

    >>> literal_line("# of seats").replace(_NO_BREAK, "~"), literal_line("seats")
    ('#~of seats', 'seats')
    """
    found = _LITERAL.match(body)
    if not found:
        return body
    if found[1]:
        return found[1] + _NO_BREAK + body[found.end() :]
    return _NO_BREAK + body


def _tidy(raw: str) -> str:
    return (_MANY_SPACES.sub(" ", raw) if "  " in raw else raw).strip(" ")
