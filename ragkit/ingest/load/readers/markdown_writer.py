"""Turns a stream of inline text and block marks into tidy lines, marked as Markdown marks them."""

from __future__ import annotations

import re

# The white space that HTML and Word collapse; a no-break space is kept.
_SPACES = re.compile(r"[ \t\n\f\r]+")


class MarkdownWriter:
    """Collects lines: inline white space collapses, blocks are parted by one blank line.

    Within a table cell every break is a space, so that a row stays one line.

    Attributes:
        list_depth: How many lists are open; marks are indented by two spaces a level.
    """

    def __init__(self) -> None:
        self.list_depth = 0
        self._verbatim = 0
        self._lines: list[str] = []
        self._inline: list[str] = []
        self._mark = ""
        self._row: list[str] = []
        self._cell: list[str] | None = None
        self._cell_depth = 0

    @property
    def marked(self) -> bool:
        """True while a mark waits for the first text of its line."""
        return bool(self._mark) and not "".join(self._inline).strip()

    def add(self, text: str) -> None:
        """Append inline text."""
        if text:
            target = self._inline if self._cell is None else self._cell
            target.append(text if self._verbatim else _SPACES.sub(" ", text))

    def mark(self, mark: str) -> None:
        """Put a mark such as ``- `` before the next line's text, if there will be any."""
        if self._cell is None:
            indent = "  " * max(self.list_depth - 1, 0) if mark == "- " else ""
            self._mark = indent + mark

    def end_line(self) -> None:
        """End the line at hand, if it holds anything."""
        if self._cell is not None:
            self._cell.append(" ")
            return
        if self._verbatim:
            self._inline.append("\n")
            return
        body = _tidy(self._take())
        if body:
            self._lines.append(self._mark + body)
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
        self._verbatim -= 1
        if self._verbatim == 0 and self._cell is None:
            body = self._take().strip("\n")
            if body.strip():
                fence = "```" if "```" not in body else "~~~"
                self._lines.extend((fence, body, fence))

    def open_cell(self) -> None:
        """Begin a table cell; a cell within a cell is part of it."""
        if self._cell is None:
            self.end_line()
            self._cell = []
        self._cell_depth += 1

    def close_cell(self) -> None:
        """End a table cell."""
        self._cell_depth -= 1
        if self._cell_depth == 0 and self._cell is not None:
            self._row.append(_tidy(" ".join("".join(self._cell).split())))
            self._cell = None

    def end_row(self) -> None:
        """End a table row: its cells become one line."""
        if self._cell is None:
            row, self._row = self._row, []
            if any(row):
                self._inline.append(" | ".join(row))
            self.end_line()

    def text(self) -> str:
        """Return everything written so far."""
        self.end_line()
        return "\n".join(self._lines).strip("\n")

    def _take(self) -> str:
        raw, self._inline = "".join(self._inline), []
        return raw


def _tidy(raw: str) -> str:
    return re.sub(" {2,}", " ", raw).strip(" ")
