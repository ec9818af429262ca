"""Many rows in one statement."""

from __future__ import annotations

import sqlite3
from typing import Any


class Bulk:
    """Rows of one table that wait until many are inserted at once.

    SQLite runs without Python's lock within a statement only. With a statement a row the lock
    goes back and forth between the writer and the threads that parse a model's replies, which
    costs more than the inserts and lets neither use a second core.

    Args:
        connection: The writer's.
        table: The table's name, with its columns where not all are given.
        columns: How many values a row has; the first is never None.
        rows: Most rows a statement.
    """

    def __init__(
        self, connection: sqlite3.Connection, table: str, *, columns: int, rows: int
    ) -> None:
        most = connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        rows = min(rows, most // columns)
        # Of one length, and filled up with NULL, so that it is compiled only once.
        marks = ",".join([f"({','.join('?' * columns)})"] * rows)
        filled = f"SELECT * FROM (VALUES {marks}) WHERE column1 NOT NULL"  # noqa: S608 -- only marks
        self._insert = f"INSERT INTO {table} {filled}"
        self._connection = connection
        self._size = rows * columns
        self._values: list[Any] = []

    @property
    def is_full(self) -> bool:
        """Whether a whole statement's rows are waiting."""
        return len(self._values) >= self._size

    def add(self, *values: Any) -> None:  # noqa: ANN401 -- whatever SQLite stores
        """Add a row."""
        self._values += values

    def write(self) -> None:
        """Insert the waiting rows; they wait no more even where that fails."""
        values, self._values = self._values, []
        for start in range(0, len(values), self._size):
            part = values[start : start + self._size]
            part += [None] * (self._size - len(part))
            self._connection.execute(self._insert, part)

    def clear(self) -> None:
        """Forget the waiting rows."""
        self._values.clear()
