"""A table's cells, with those that span others filled in, as the lines of a Markdown table."""

from __future__ import annotations

from itertools import pairwise

from ragkit.ingest.load.readers.column_names import names_columns

_MOST_COLUMNS = 256
_MOST_FILLED = 5_000_000
"""Characters of a table that merged cells say again; a page may state any number of rows."""

_LONGEST_FILL = 300
"""Characters up to which the text of a merged cell is said again in each cell that it covers."""


class TableGrid:
    """Collects the cells of one table, row by row.

    A cell that spans columns or rows stands in each of them. The rows that name the columns are
    those marked as such, or the first, if its cells differ from what is below; they become one row
    with a rule below it.
    """

    def __init__(self) -> None:
        self._rows: list[list[str]] = []
        self._marked: list[bool] = []
        self._row: list[str] = []
        self._are_names: list[bool] = []
        self._spanning: dict[int, tuple[int, str]] = {}
        self._filled = 0

    def add(self, text: str, *, columns: int = 1, rows: int = 1, is_name: bool = False) -> None:
        """Add a cell to the row at hand; a cell of several rows goes on in the rows below."""
        self._fill()
        for _ in range(max(1, min(columns, _MOST_COLUMNS))):
            if rows > 1:
                self._spanning[len(self._row)] = (rows - 1, text[:_LONGEST_FILL])
            self._row.append(text)
        self._are_names.append(is_name or not text)

    def go_on(self, *, columns: int = 1) -> None:
        """Add a cell that belongs to the one above it."""
        self._fill()
        for _ in range(max(1, min(columns, _MOST_COLUMNS))):
            place = len(self._row)
            above = self._rows[-1][place] if self._rows and place < len(self._rows[-1]) else ""
            self._row.append(above[:_LONGEST_FILL])

    def end_row(self, *, is_marked: bool = False) -> None:
        """End the row at hand; one of empty cells is left out."""
        if not self._row:
            return
        self._fill()
        row, self._row = self._row, []
        names, self._are_names = self._are_names, []
        if any(row):
            self._rows.append(row)
            self._marked.append(is_marked or (bool(names) and all(names)))

    def lines(self) -> list[str]:
        """The table as lines; one of a single column is its texts alone."""
        self.end_row()
        if max(map(len, self._rows), default=0) <= 1:
            return [row[0] for row in self._rows]
        title, rows, count = self._parted()
        width = max(map(len, rows), default=0)
        body = [_line(_once(row, width)) for row in rows[count:]]
        if not count:
            return title + body
        names = _combined(rows[:count])
        return [*title, _line(names), "|" + "---|" * len(names), *body]

    def _fill(self) -> None:
        if self._filled > _MOST_FILLED:
            self._spanning.clear()
        while (place := len(self._row)) in self._spanning:
            left, text = self._spanning.pop(place)
            self._filled += len(text) + 1
            if left > 1:
                self._spanning[place] = (left - 1, text)
            self._row.append(text)

    def _parted(self) -> tuple[list[str], list[list[str]], int]:
        """Part a title over all columns from the rows, and count the rows of names."""
        first = 0
        while first < len(self._rows) - 1 and len(set(self._rows[first])) == 1:
            first += 1
        titles, rows = [row[0] for row in self._rows[:first]], self._rows[first:]
        if not titles or self._marked[0] or len(rows) > 1:
            marked = self._marked[first:]
            count = next((i for i, is_marked in enumerate(marked) if not is_marked), 0)
        else:
            titles, rows, count = [], self._rows, 0
        if not count and len(rows) > 1 and names_columns(rows[0], rows[1:], unless=False):
            count = 1
        return titles, rows, count


def _once(row: list[str], width: int) -> list[str]:
    """A row of one text over all columns is said once."""
    return row[:1] if len(row) == width and len(set(row)) == 1 else row


def _combined(rows: list[list[str]]) -> list[str]:
    """One row of names from several, above each other: ``Member Day``."""
    width = max(map(len, rows))
    names: list[str] = []
    for column in range(width):
        parts = [row[column] for row in rows if column < len(row) and row[column]]
        names.append(" ".join(dict.fromkeys(parts)))
    return names


def _line(cells: list[str]) -> str:
    """Write a row; a long text over several columns is said in the first of them."""
    again = [False, *(a is b and len(b) > _LONGEST_FILL for a, b in pairwise(cells))]
    said = ("" if is_again else cell for cell, is_again in zip(cells, again, strict=True))
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in said) + " |"
