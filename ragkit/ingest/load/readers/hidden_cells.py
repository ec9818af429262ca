"""Rows and columns of a sheet that were hidden by hand."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence, Set


@dataclass(frozen=True, slots=True)
class HiddenCells:
    """Rows and columns that nobody sees, from 0."""

    rows: Set[int] = frozenset()
    columns: Set[int] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.rows or self.columns)

    def told(self, table: Sequence[Sequence[str]]) -> str:
        """How many of them say something in a table: ``1 hidden row and 2 hidden columns``."""
        wide = len(table[0]) if table else 0
        rows = sum(any(table[row]) for row in self.rows if row < len(table))
        columns = sum(any(line[c] for line in table) for c in self.columns if c < wide)
        counts = (("row", rows), ("column", columns))
        return " and ".join(
            f"{count:,} hidden {what}{'s' if count > 1 else ''}" for what, count in counts if count
        )

    def first_seen(self, first: int, last: int) -> int:
        """The first of some columns that is seen; `first` if none is."""
        seen = (column for column in range(first, last + 1) if column not in self.columns)
        return next(seen, first)

    def without(
        self, table: list[list[str]], spanning: set[int], said: dict[tuple[int, int], str]
    ) -> tuple[list[list[str]], set[int], dict[tuple[int, int], str]]:
        """What of a table is seen.

        Args:
            table: Its rows.
            spanning: Numbers of rows that belong to the row below them.
            said: What was said of cells, by row and column.
        """
        if not self:
            return table, spanning, said
        rows, columns = sorted(self.rows), sorted(self.columns)
        comments = {
            (row - bisect_left(rows, row), column - bisect_left(columns, column)): text
            for (row, column), text in said.items()
            if row not in self.rows and column not in self.columns
        }
        seen = [
            [cell for column, cell in enumerate(line) if column not in self.columns]
            for row, line in enumerate(table)
            if row not in self.rows
        ]
        above = {row for row in spanning - self.rows if row + 1 not in self.rows}
        return seen, {row - bisect_left(rows, row) for row in above}, comments
